//! The built-in `sum`: adds the numbers of an array, exactly.

use std::collections::BTreeMap;

use postrider_modules::{kind_of, run, Answer, Config, Content, Decimal, Input, Reason};
use serde_json::value::RawValue;
use serde_json::Value;

fn main() {
    run(answer);
}

fn answer(input: &Input) -> Answer {
    let config = Config::read(input, &[])?;
    let numbers = numbers(input)?;
    let mut total = Decimal::ZERO;
    for (at, number) in numbers.iter().enumerate() {
        total = total.plus(decimal(at, number)?).ok_or_else(|| too_long(at))?;
    }
    let mut output = config.output(input)?;
    output.content_type = "application/json".to_owned();
    output.content = Content::Json(format!("{{\"count\":{},\"sum\":{}}}", numbers.len(), total));
    Ok(vec![output])
}

/// The elements as they are written: there may be many, and most of what a number says is in its digits.
fn numbers(input: &Input) -> Result<Vec<&RawValue>, Reason> {
    let content = input.raw_content()?;
    let array = if content.starts_with('{') {
        let fields: BTreeMap<String, &RawValue> = read(content)?;
        let numbers = fields.get("numbers").map(|numbers| numbers.get());
        numbers.ok_or("content: there is no array of numbers, nor an object with one in numbers")?
    } else {
        content
    };
    if array.starts_with('[') {
        return read(array);
    }
    let other: Value = read(array)?;
    Err(format!("content: an array of numbers is needed, this is {}", kind_of(&other)))
}

fn read<'a, T: serde::Deserialize<'a>>(json: &'a str) -> Result<T, Reason> {
    serde_json::from_str(json).map_err(|error| format!("content: {}", error))
}

fn decimal(at: usize, number: &RawValue) -> Result<Decimal, Reason> {
    let written = number.get();
    if written.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Decimal::parse(written).ok_or_else(|| too_long(at));
    }
    let other: Value = read(written)?;
    Err(format!("content: element {} is {}, and no number", at, kind_of(&other)))
}

fn too_long(at: usize) -> Reason {
    format!("content: with element {} the sum has more digits than are added exactly", at)
}
