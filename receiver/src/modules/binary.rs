//! Whether bytes are a module that can be run: sound WASM, a component with `run` or a command with `_start`, and no import
//! that it was not granted. The executor decides the same when it compiles a module; here its owner is told at once.

use shared::task::settings::Grants;
use wasmparser::{
    ComponentExternalKind, ComponentTypeRef, ExternalKind, Parser, Payload, TypeBounds, Validator,
};

/// Where the imports of a command are.
const COMMAND: &str = "wasi_snapshot_preview1";

/// Checks `bytes`. The error is for a person.
pub(crate) fn inspect(bytes: &[u8], grants: &Grants) -> Result<(), String> {
    let broken = |error: wasmparser::BinaryReaderError| format!("it is not sound WASM: {error}");
    Validator::new().validate_all(bytes).map_err(broken)?;
    let mut found = Found::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(broken)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            // What is inside a component is its own affair.
            payload if depth == 0 => found.read(payload).map_err(broken)?,
            _inside => {}
        }
    }
    found.judge(grants)
}

/// What stands at the outside of a module.
#[derive(Default)]
struct Found {
    is_component: bool,
    runs: bool,
    imports: Vec<String>,
}

impl Found {
    fn read(&mut self, payload: Payload<'_>) -> Result<(), wasmparser::BinaryReaderError> {
        match payload {
            Payload::ComponentImportSection(imports) => {
                self.is_component = true;
                for import in imports {
                    let import = import?;
                    // Another name of a type that is known: a world that uses types has them so.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        self.imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                self.is_component = true;
                for export in exports {
                    let export = export?;
                    self.runs |= export.name.name == "run" && export.kind == ComponentExternalKind::Func;
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    self.imports.push(import?.module.to_owned());
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    self.runs |= export.name == "_start" && export.kind == ExternalKind::Func;
                }
            }
            Payload::Version { encoding, .. } => {
                self.is_component = encoding == wasmparser::Encoding::Component;
            }
            _elsewhere => {}
        }
        Ok(())
    }

    fn judge(&self, grants: &Grants) -> Result<(), String> {
        if !self.runs {
            return Err(if self.is_component {
                "the component does not export the function run".into()
            } else {
                "the module is no component and does not export the function _start of a command".into()
            });
        }
        for import in &self.imports {
            let name = import.split('@').next().unwrap_or(import);
            let there = match name {
                COMMAND => !self.is_component,
                "postrider:task/config" => grants.config.is_some(),
                "postrider:task/key-value" => grants.key_value.is_some(),
                "postrider:task/clock" => grants.clock,
                "wasi:http/outgoing-handler" | "wasi:http/types" => grants.http.is_some(),
                other => {
                    self.is_component && (other.starts_with("wasi:") || other.starts_with("postrider:task/"))
                }
            };
            if !there {
                return Err(format!("it imports {import:.128}, which it is not granted"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected(text: &str, grants: &Grants) -> Result<(), String> {
        inspect(&wat::parse_str(text).unwrap(), grants)
    }

    const COMPONENT: &str = r#"
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func (export "run") (canon lift (core func $i "f")))"#;

    #[test]
    fn a_component_has_run_and_a_command_has_start() {
        let none = Grants::default();
        assert_eq!(inspected("(module (func (export \"_start\")))", &none), Ok(()));
        assert_eq!(inspected(&format!("(component {COMPONENT})"), &none), Ok(()));
        for wrong in [
            "(module)",
            "(module (func (export \"run\")))",
            "(module (memory (export \"_start\") 1))",
            "(component)",
            "(component (core module (func (export \"_start\"))))",
        ] {
            assert!(inspected(wrong, &none).is_err(), "{wrong}");
        }
        let sound = wat::parse_str("(module (func (export \"_start\")))").unwrap();
        for wrong in [&b""[..], b"\0asm", &sound[..sound.len() - 1], b"#!/bin/sh"] {
            assert!(inspect(wrong, &none).unwrap_err().contains("not sound"), "{wrong:?}");
        }
    }

    #[test]
    fn an_import_needs_its_grant() {
        let with = |import: &str| format!("(component (import \"{import}\" (instance)) {COMPONENT})");
        let none = Grants::default();
        let clock = Grants { clock: true, ..Grants::default() };
        let import = with("postrider:task/clock@1.0.0");
        assert_eq!(inspected(&import, &clock), Ok(()));
        assert!(inspected(&import, &none).unwrap_err().contains("postrider:task/clock@1.0.0"));
        assert_eq!(inspected(&with("wasi:random/random@0.2.0"), &none), Ok(()));
        assert!(inspected(&with("acme:secrets/store"), &clock).is_err());
        let named = format!("(component (type $t (list u8)) (import \"input\" (type (eq $t))) {COMPONENT})");
        assert_eq!(inspected(&named, &none), Ok(()));
        let resource = format!("(component (import \"input\" (type (sub resource))) {COMPONENT})");
        assert!(inspected(&resource, &none).is_err());
        let core =
            |from: &str| format!("(module (import \"{from}\" \"f\" (func)) (func (export \"_start\")))");
        assert_eq!(inspected(&core(COMMAND), &none), Ok(()));
        assert!(inspected(&core("env"), &none).is_err());
    }
}
