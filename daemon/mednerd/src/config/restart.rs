//! What only a restart can change.

use super::{Config, Problem};

impl Config {
    /// What a running daemon cannot change.
    pub fn needs_restart(&self, new: &Self) -> Vec<Problem> {
        let fixed = [
            ("server.socket", self.server.socket != new.server.socket),
            (
                "server.admin_socket",
                self.server.admin_socket != new.server.admin_socket,
            ),
            ("audit.path", self.audit.path != new.audit.path),
            ("audit.key", self.audit.key != new.audit.key),
            ("engine.threads", self.engine.threads != new.engine.threads),
            ("engine.device", self.engine.device != new.engine.device),
            ("engine.worker", self.engine.worker != new.engine.worker),
            ("engine.gpus", self.engine.gpus != new.engine.gpus),
            (
                "engine.gpu_precision",
                self.engine.gpu_precision != new.engine.gpu_precision,
            ),
            (
                "engine.gpu_memory_mb",
                self.engine.gpu_memory_mb != new.engine.gpu_memory_mb,
            ),
            ("engine.gpu_call_ms", self.engine.gpu_call != new.engine.gpu_call),
        ];
        fixed
            .into_iter()
            .filter(|&(_, differs)| differs)
            .map(|(key, _)| {
                let message =
                    format!("{key} cannot change while mednerd runs; restart it to use the new value");
                Problem::new(new.place(key).cloned(), message)
            })
            .collect()
    }
}
