//! Which cryptography TLS uses in this process.

/// Chooses `ring`, once; a choice that was made before stands.
pub(crate) fn install() {
    let _already_chosen = rustls::crypto::ring::default_provider().install_default();
}
