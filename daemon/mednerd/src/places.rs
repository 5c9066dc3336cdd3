//! `mednerd places`: where a configuration has everything, and who may open what. `mednerctl doctor` asks it, so that it looks where
//! the daemon does.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::access::{Door, Policy};
use crate::config::{Config, Device, Principal};

/// What a configuration names.
#[derive(Debug, Serialize)]
pub struct Places {
    /// Whether the configuration has no problem: of one that has, anything here may be the default in its place.
    pub whole: bool,
    /// `server.socket`
    pub socket: Socket,
    /// `server.admin_socket`
    pub admin_socket: Socket,
    /// The folder of the audit trail; `null` where there is none.
    pub audit: Option<PathBuf>,
    /// The file with its key.
    pub audit_key: PathBuf,
    /// `access.groups`
    pub groups: Vec<String>,
    /// `access.users`
    pub users: Vec<String>,
    /// Whether `engine.device` insists on a GPU.
    pub wants_gpu: bool,
    /// Every file and folder that the service has to see, but for its sockets and its key.
    pub reads: Vec<PathBuf>,
}

/// A socket's file.
#[derive(Debug, Serialize)]
pub struct Socket {
    /// Where it is.
    pub path: PathBuf,
    /// The mode with which everybody who is listed can open it, and nobody else where a mode can say that; `null` where a
    /// name of `[access]` is not known.
    pub mode: Option<u32>,
    /// The group that it needs with that mode.
    pub group: Option<u32>,
}

/// Reads a configuration, and nothing that it names. Of one with problems it gives what could be read, or the default.
pub fn places(file: &Path) -> Places {
    let (config, problems) = Config::load(file);
    let policy = Policy::resolve(&config.access).ok();
    let socket = |door, path: &PathBuf| {
        let due = policy.as_ref().map(|policy| policy.file_mode(door));
        Socket {
            path: path.clone(),
            mode: due.map(|(mode, _)| mode),
            group: due.and_then(|(_, group)| group),
        }
    };
    let names = |list: &[Principal]| list.iter().map(|principal| principal.name.clone()).collect();
    let named = |path: &Path| (!path.as_os_str().is_empty()).then(|| path.to_owned());
    let adapters = config.models.iter().flat_map(|model| &model.adapters);
    let read = config.models.iter().map(|model| &model.path);
    let read = read.chain(adapters.map(|adapter| &adapter.path));
    let read = read.chain(config.terms.iter().map(|terms| &terms.path));
    let read = read.chain(config.plugins.iter().map(|plugin| &plugin.path));
    let read = read.chain([
        &config.linking.rerank,
        &config.audit.path,
        &config.plugin_policy.trusted_keys,
    ]);
    let read = read.chain(&config.files);
    Places {
        whole: problems.is_empty(),
        socket: socket(Door::Client, &config.server.socket),
        admin_socket: socket(Door::Admin, &config.server.admin_socket),
        audit: named(&config.audit.path),
        audit_key: config.audit.key.clone(),
        groups: names(&config.access.groups),
        users: names(&config.access.users),
        wants_gpu: config.engine.device == Device::Cuda,
        reads: read.filter_map(|path| named(path)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_where_the_configuration_says() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mednerd.toml");
        std::fs::write(
            &file,
            r#"
            [server]
            socket = "/run/other/s"
            [access]
            groups = ["0"]
            users = ["65533"]
            [engine]
            device = "cuda"
            [audit]
            path = "trail"
            key = "/srv/key"
            [[models]]
            name = "a"
            path = "/home/a"
            "#,
        )
        .unwrap();
        let found = places(&file);
        assert!(found.whole);
        assert_eq!(found.socket.path, Path::new("/run/other/s"));
        assert_eq!((found.socket.mode, found.socket.group), (Some(0o666), None));
        assert_eq!(
            (found.admin_socket.mode, found.admin_socket.group),
            (Some(0o600), None)
        );
        assert_eq!(found.audit, Some(folder.path().join("trail")));
        assert_eq!(found.audit_key, Path::new("/srv/key"));
        assert_eq!(
            (&*found.groups, &*found.users),
            (&["0".to_owned()][..], &["65533".to_owned()][..])
        );
        assert!(found.wants_gpu);
        for path in [Path::new("/home/a"), &folder.path().join("trail"), &file] {
            assert!(found.reads.iter().any(|read| read == path), "{}", path.display());
        }
        // Of what cannot be read the default is given.
        std::fs::write(&file, "[audit]\npath = 3\n").unwrap();
        let found = places(&file);
        assert_eq!((found.whole, found.audit), (false, None));
    }
}
