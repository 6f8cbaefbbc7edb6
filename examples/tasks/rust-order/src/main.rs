//! A task that answers an order with its summary. It is given one line of JSON on standard input and answers with one JSON
//! object on standard output; what it writes to standard error is its log.

use serde_json::{json, Value};

fn main() {
    let input: Value = serde_json::from_reader(std::io::stdin()).expect("the input is JSON");
    println!("{}", answer(&input["content"]));
}

fn answer(order: &Value) -> Value {
    let lines = match order["lines"].as_array() {
        Some(lines) if !lines.is_empty() => lines,
        _nothing => return json!({"reject": {"reason": "the order has no lines"}}),
    };
    if order["state"] == "pending" {
        return json!({"retry": {"reason": "the order is not paid yet", "after_ms": 60_000}});
    }
    let mut cents = 0;
    let mut names = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        match (line["count"].as_u64(), line["cents"].as_u64(), line["name"].as_str()) {
            (Some(count), Some(each), Some(name)) => {
                cents += count * each;
                names.push(format!("{} × {}", count, name));
            }
            _incomplete => {
                let reason = format!("line {} has no name, count or cents", at);
                return json!({"reject": {"reason": reason}});
            }
        }
    }
    eprintln!("{} lines, {} cents", lines.len(), cents);
    // A constant of the grant `config`.
    let currency = std::env::var("currency").unwrap_or_else(|_| "EUR".to_owned());
    json!({"ok": [{
        "type": "order.summary",
        "content": {"text": names.join(", "), "total_cents": cents, "currency": currency},
    }]})
}
