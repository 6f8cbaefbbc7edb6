//! The reading of an event stream (WHATWG HTML, section 9.2.6), byte by byte as it comes. Pure.

/// Largest line, and largest `data`, that is read: four times the largest content that a notification may have.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What a stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A block with `data`.
    Data(String),
    /// `retry:`, in milliseconds.
    Retry(u64),
}

/// A line or block is larger than anything this protocol says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    after_return: bool,
    block: Option<String>,
}

impl Parser {
    /// Takes what came; appends what it says to `items`.
    pub(super) fn feed(&mut self, bytes: &[u8], items: &mut Vec<Item>) -> Result<(), TooLarge> {
        for &byte in bytes {
            let continues_end = byte == b'\n' && self.after_return;
            self.after_return = byte == b'\r';
            match byte {
                _ if continues_end => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    self.end_line(&String::from_utf8_lossy(&line), items)?;
                }
                _ if self.line.len() >= MAX_BYTES => return Err(TooLarge),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self, line: &str, items: &mut Vec<Item>) -> Result<(), TooLarge> {
        if line.is_empty() {
            items.extend(self.block.take().map(Item::Data));
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                let block = match &mut self.block {
                    Some(block) => {
                        block.push('\n');
                        block
                    }
                    none => none.insert(String::new()),
                };
                if block.len() + value.len() > MAX_BYTES {
                    return Err(TooLarge);
                }
                block.push_str(value);
            }
            "retry" => items.extend(value.parse().ok().map(Item::Retry)),
            // The frame itself carries cursor and name; an empty field is a comment.
            _other => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = "retry: 1500\n\nid: c\r\nevent: notification\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n: hi\n\ndata:x\n\nid: y\n\n";

    fn expected() -> Vec<Item> {
        vec![Item::Retry(1500), Item::Data("{\"a\":\n1}".into()), Item::Data("x".into())]
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_network_cuts(cut in 0..STREAM.len(), second in 0..STREAM.len()) {
            let (low, high) = (cut.min(second), cut.max(second));
            let (mut parser, mut items) = (Parser::default(), Vec::new());
            for part in [&STREAM[..low], &STREAM[low..high], &STREAM[high..]] {
                parser.feed(part.as_bytes(), &mut items).unwrap();
            }
            prop_assert_eq!(items, expected());
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut parser = Parser::default();
        assert_eq!(parser.feed(&vec![b'x'; MAX_BYTES], &mut Vec::new()), Ok(()));
        assert_eq!(parser.feed(b"x", &mut Vec::new()), Err(TooLarge));
    }
}
