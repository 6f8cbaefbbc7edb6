//! The cap on what a guest's memories and tables hold. One for each attempt; wasmtime asks it before anything grows.

use wasmtime::ResourceLimiter;

/// How much memory an attempt has, and whether it was refused more.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemoryCap {
    most_bytes: usize,
    most_elements: usize,
    most_instances: usize,
    most_memories: usize,
    most_tables: usize,
    bytes: usize,
    peak_bytes: usize,
    refused: bool,
}

impl MemoryCap {
    pub(super) fn new(settings: &crate::config::SandboxSettings) -> Self {
        Self {
            most_bytes: settings.memory_bytes,
            most_elements: settings.table_elements,
            most_instances: settings.instances as usize,
            most_memories: settings.memories as usize,
            most_tables: settings.tables as usize,
            bytes: 0,
            peak_bytes: 0,
            refused: false,
        }
    }

    /// The most it had.
    pub(super) const fn peak_bytes(&self) -> usize {
        self.peak_bytes
    }

    /// Whether it asked for more than it may have.
    pub(super) const fn was_refused(&self) -> bool {
        self.refused
    }
}

impl ResourceLimiter for MemoryCap {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // All memories of the attempt count together: a component may have several.
        let bytes = self.bytes.saturating_sub(current).saturating_add(desired);
        let declared = maximum.is_none_or(|maximum| desired <= maximum);
        if bytes > self.most_bytes || !declared {
            self.refused = true;
            return Ok(false);
        }
        self.bytes = bytes;
        self.peak_bytes = self.peak_bytes.max(bytes);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = desired <= self.most_elements && maximum.is_none_or(|maximum| desired <= maximum);
        self.refused |= !fits;
        Ok(fits)
    }

    fn instances(&self) -> usize {
        self.most_instances
    }

    fn tables(&self) -> usize {
        self.most_tables
    }

    fn memories(&self) -> usize {
        self.most_memories
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SandboxSettings;

    #[test]
    fn all_memories_of_an_attempt_count_together() {
        let mut cap = MemoryCap::new(&SandboxSettings { memory_bytes: 100, ..SandboxSettings::default() });
        assert!(cap.memory_growing(0, 60, None).unwrap());
        assert!(!cap.memory_growing(0, 60, None).unwrap());
        assert!(cap.memory_growing(60, 100, None).unwrap());
        assert_eq!((cap.peak_bytes(), cap.was_refused()), (100, true));
    }
}
