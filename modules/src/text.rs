//! Templates: text with `{{placeholders}}`, and JSON whose texts are such.

use serde_json::{Map, Value};

use crate::{Path, Reason};

/// A template: `{{content.name}}` is the value at a path, `{{content.name | nobody}}` has what stands for one that is not
/// there or null, and `\{{` is two braces.
#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    pieces: Vec<Piece>,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Value(Placeholder),
}

#[derive(Debug, PartialEq, Eq)]
struct Placeholder {
    path: Path,
    fallback: Option<String>,
}

/// What is done to a value that becomes part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// Nothing.
    None,
    /// `&`, `<`, `>`, `"` and `'` become references, so that a value is text in HTML and XML, also in an attribute
    /// within quotation marks, and never markup.
    Markup,
}

impl Text {
    /// Reads a template.
    ///
    /// # Errors
    /// When a placeholder has no end or no path.
    pub fn parse(template: &str) -> Result<Self, Reason> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = template;
        while let Some(at) = rest.find("{{") {
            let (before, from) = rest.split_at(at);
            if let Some(before) = before.strip_suffix('\\') {
                literal.push_str(before);
                literal.push_str("{{");
                rest = &from[2..];
                continue;
            }
            literal.push_str(before);
            let end = from.find("}}").ok_or_else(|| {
                format!("the placeholder at byte {} has no end", template.len() - from.len())
            })?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Value(Placeholder::parse(&from[2..end])?));
            rest = &from[end + 2..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self { pieces })
    }

    /// The text with the values of `scope`.
    ///
    /// # Errors
    /// When a value is not there.
    pub fn render(&self, scope: &Value, escape: Escape) -> Result<String, Reason> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Value(placeholder) => {
                    escape.push(&mut text, &placeholder.text(scope)?);
                }
            }
        }
        Ok(text)
    }

    /// As [`Text::render`], but a template that is one placeholder and nothing else becomes the value itself.
    fn value(&self, scope: &Value) -> Result<Value, Reason> {
        match self.pieces.as_slice() {
            [Piece::Value(placeholder)] => placeholder.value(scope),
            _pieces => self.render(scope, Escape::None).map(Value::String),
        }
    }
}

impl Placeholder {
    fn parse(inside: &str) -> Result<Self, Reason> {
        let (path, fallback) = match inside.split_once('|') {
            Some((path, fallback)) => (path, Some(fallback.trim().to_owned())),
            None => (inside, None),
        };
        Ok(Self { path: Path::parse(path.trim())?, fallback })
    }

    fn found<'a>(&self, scope: &'a Value) -> Result<Option<&'a Value>, Reason> {
        match self.path.find(scope).filter(|value| !value.is_null()) {
            None if self.fallback.is_none() => Err(format!("there is no {}", self.path.as_str())),
            found => Ok(found),
        }
    }

    fn value(&self, scope: &Value) -> Result<Value, Reason> {
        let fallback = || Value::String(self.fallback.clone().unwrap_or_default());
        Ok(self.found(scope)?.cloned().unwrap_or_else(fallback))
    }

    fn text(&self, scope: &Value) -> Result<String, Reason> {
        Ok(match self.value(scope)? {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }
}

impl Escape {
    fn push(self, text: &mut String, value: &str) {
        if self == Self::None {
            text.push_str(value);
            return;
        }
        for character in value.chars() {
            match character {
                '&' => text.push_str("&amp;"),
                '<' => text.push_str("&lt;"),
                '>' => text.push_str("&gt;"),
                '"' => text.push_str("&quot;"),
                '\'' => text.push_str("&#39;"),
                other => text.push(other),
            }
        }
    }
}

/// JSON whose texts are templates, with the values of `scope`. Names of fields stay as they are, and no value can change
/// what the document looks like around it.
///
/// # Errors
/// When a template is none, or a value is not there.
pub fn render_value(template: &Value, scope: &Value) -> Result<Value, Reason> {
    Ok(match template {
        Value::String(text) => Text::parse(text)?.value(scope)?,
        Value::Array(array) => {
            Value::Array(array.iter().map(|value| render_value(value, scope)).collect::<Result<_, _>>()?)
        }
        Value::Object(object) => {
            let field = |(name, value): (&String, &Value)| Ok((name.clone(), render_value(value, scope)?));
            Value::Object(object.iter().map(field).collect::<Result<Map<_, _>, Reason>>()?)
        }
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(template: &str) -> Result<String, Reason> {
        let scope =
            json!({"content": {"name": "Zoë", "n": 1.50, "none": null, "list": [1, "a"], "yes": true}});
        Text::parse(template)?.render(&scope, Escape::None)
    }

    #[test]
    fn placeholders_become_values() {
        for (template, text) in [
            ("", ""),
            ("no placeholder }} { {", "no placeholder }} { {"),
            ("Hello {{content.name}}!", "Hello Zoë!"),
            ("{{ content.n }}/{{/content/yes}}", "1.5/true"),
            ("{{content.list}}", "[1,\"a\"]"),
            ("{{content.list.1}}{{content.list.0}}", "a1"),
            ("{{content.none | nobody}} {{content.x|}}.", "nobody ."),
            ("\\{{content.name}} {{content.name}}", "{{content.name}} Zoë"),
        ] {
            assert_eq!(render(template).as_deref(), Ok(text), "{}", template);
        }
    }

    #[test]
    fn what_is_not_there_is_said() {
        assert_eq!(render("{{content.x}}").unwrap_err(), "there is no content.x");
        assert_eq!(render("{{content.none}}").unwrap_err(), "there is no content.none");
        assert_eq!(render("ab{{content.x").unwrap_err(), "the placeholder at byte 2 has no end");
        assert!(render("{{}}").is_err());
    }

    #[test]
    fn values_are_no_markup() {
        let scope = json!({"x": "<a href=\"'\">&"});
        let text = Text::parse("<b title='{{x}}'>").unwrap().render(&scope, Escape::Markup);
        assert_eq!(text.unwrap(), "<b title='&lt;a href=&quot;&#39;&quot;&gt;&amp;'>");
    }

    #[test]
    fn json_keeps_its_shape_whatever_the_values() {
        let scope = json!({"n": 7, "x": "\",\"admin\":true,\""});
        let template = json!({"whole": "{{n}}", "part": "n={{n}}", "{{n}}": ["{{x}}", 1, null]});
        let rendered = render_value(&template, &scope).unwrap();
        assert_eq!(rendered, json!({"whole": 7, "part": "n=7", "{{n}}": ["\",\"admin\":true,\"", 1, null]}));
    }
}
