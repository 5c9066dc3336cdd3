//! A plugin's package as a vendor, or somebody else, made it: manifest, signature, keys. A manifest that is read comes back from its file.
#![no_main]

use std::fs;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use mednerd_fuzz::{Input, folder, parts, seeds, tree};
use mednerd_plugin::package::{Manifest, Policy, key_id, signed_file, verify};
use mednerd_plugin_host::data::{named_paths, size, stamps};

const KEY: &str =
    "untrusted comment: minisign public key\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n";
const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
    RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=\n\
    trusted comment: timestamp:1555779966\tfile:test\n\
    QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==\n";

fuzz_target!(
    init: {
        let manifests = ["plugins/examples/csv", "plugins/examples/hl7v2", "plugins/umls/plugin", "plugins/examples/peft"];
        let manifests = manifests.map(|folder| fs::read(tree(folder).join("plugin.toml")).unwrap());
        let rest = [SIGNATURE, KEY, r#"{"a":"/usr/share/doc","b":["/",{"c":"/etc/passwd"}]}"#].map(str::as_bytes);
        seeds(manifests.iter().map(|manifest| parts([&[&**manifest][..], &rest].concat())));
    },
    |bytes: &[u8]| {
        let mut input = Input(bytes);
        let [manifest, signature, key, settings] = [(); 4].map(|()| input.part());
        if let Ok(text) = std::str::from_utf8(manifest)
            && let Ok(read) = Manifest::parse(text)
        {
            assert_eq!(Manifest::parse(&read.to_toml()).as_ref(), Ok(&read));
            let library = Path::new(&read.library);
            assert!(library.file_name() == Some(library.as_os_str()), "a library that is no file name");
            assert!(read.call_time() <= read.start_time() * 600);
        }
        let package = folder().join("package");
        let keys = folder().join("keys");
        for folder in [&package, &keys] {
            fs::create_dir_all(folder).unwrap();
        }
        for (path, bytes) in [
            (package.join("plugin.toml"), manifest),
            (package.join("plugin.toml.minisig"), signature),
            (package.join("lib.so"), b"library"),
            (keys.join("vendor.pub"), key),
        ] {
            fs::write(path, bytes).unwrap();
        }
        let signed = Policy { owned: false, ..Policy::production(keys.clone()) };
        // Nobody has signed it.
        assert!(verify(&package, &signed).is_err() && signed_file(&package, "plugin.toml", &signed).is_err());
        let _ = verify(&package, &Policy::development(keys));
        for text in [signature, key].into_iter().filter_map(|bytes| std::str::from_utf8(bytes).ok()) {
            assert!(key_id(text).is_none_or(|id| id.len() == 16));
        }
        if let Ok(settings) = std::str::from_utf8(settings)
            // Whole folders would be read.
            && settings.len() < 2000
        {
            let named = named_paths(settings);
            assert!(named.iter().all(|path| path.is_absolute() && path.canonicalize().unwrap().components().count() > 2));
            size(&named);
            stamps(settings);
        }
    }
);
