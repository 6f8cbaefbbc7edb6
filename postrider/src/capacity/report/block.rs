//! Headings, paragraphs, lists and tables, as text or as Markdown.

/// A piece of a report.
#[derive(Clone, Debug)]
pub(super) enum Block {
    /// Of the whole page.
    Title(String),
    Heading(String),
    Text(String),
    List(Vec<String>),
    Table(Vec<&'static str>, Vec<Vec<String>>),
}

/// For a terminal.
pub(super) fn text(blocks: &[Block]) -> String {
    let rendered = blocks.iter().map(|block| match block {
        Block::Title(title) | Block::Heading(title) => format!("{}\n", title.to_uppercase()),
        Block::Text(text) => format!("{}\n", plain(text)),
        Block::List(items) => items.iter().map(|item| format!("- {}\n", plain(item))).collect(),
        Block::Table(head, rows) if is_wide(rows) => stacked(head, rows),
        Block::Table(head, rows) => columns(head, rows),
    });
    rendered.collect::<Vec<_>>().join("\n")
}

/// For a page.
pub(super) fn markdown(blocks: &[Block]) -> String {
    let rendered = blocks.iter().map(|block| match block {
        Block::Title(title) => format!("# {title}\n"),
        Block::Heading(title) => format!("## {title}\n"),
        Block::Text(text) => format!("{text}\n"),
        Block::List(items) => items.iter().map(|item| format!("- {item}\n")).collect(),
        Block::Table(head, rows) => {
            let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
            let named: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
            let rule = vec!["---".to_owned(); head.len()];
            let rows: String = rows.iter().map(|row| line(row)).collect();
            format!("{}{}{rows}", line(&named), line(&rule).replace("| ", "|").replace(" |", "|"))
        }
    });
    rendered.collect::<Vec<_>>().join("\n")
}

fn plain(text: &str) -> String {
    text.replace("**", "").replace('`', "")
}

/// Whether a cell of it is a sentence, which no terminal has beside others.
fn is_wide(rows: &[Vec<String>]) -> bool {
    const WIDEST: usize = 100;
    rows.iter().flatten().any(|cell| plain(cell).chars().count() > WIDEST)
}

/// A row below the other, each cell on a line of its own.
fn stacked(head: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |row: &Vec<String>| -> String {
        let lines = row.iter().zip(head).skip(1).map(|(cell, name)| format!("    {name}: {}\n", plain(cell)));
        format!("{}\n{}", row.first().map(|name| plain(name)).unwrap_or_default(), lines.collect::<String>())
    };
    rows.iter().map(cells).collect()
}

fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |text: &str| plain(text).chars().count();
    let widths: Vec<usize> = (0..head.len())
        .map(|at| {
            rows.iter()
                .filter_map(|row| row.get(at))
                .map(|cell| width(cell))
                .fold(width(head[at]), usize::max)
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{:<width$}", plain(cell)));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let body: String = rows.iter().map(|row| line(row.iter().map(String::as_str).collect())).collect();
    line(head.to_vec()) + &body
}
