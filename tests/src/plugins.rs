//! Plugins as a vendor would ship them: built libraries, signed manifests, trusted keys.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use minisign::KeyPair;
use sha2::{Digest, Sha256};

use crate::Site;
use crate::daemon::{library, root};

/// A vendor with a key.
pub struct Vendor(KeyPair);

impl Default for Vendor {
    fn default() -> Self {
        Self(KeyPair::generate_unencrypted_keypair().expect("the system has randomness"))
    }
}

impl Vendor {
    /// A new one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The public key as a file.
    pub fn public_key(&self) -> String {
        self.0.pk.to_box().expect("a key can be written").into_string()
    }

    /// Signs the manifest in a directory as it stands.
    pub fn sign(&self, directory: &Path) {
        let manifest = fs::read(directory.join("plugin.toml")).expect("there is a manifest");
        let signature = minisign::sign(None, &self.0.sk, &*manifest, None, None).expect("it can be signed");
        write(
            &directory.join("plugin.toml.minisig"),
            signature.into_string().as_bytes(),
        );
    }
}

/// Writes a file that root alone can change.
pub fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("the folder can be written");
    fs::set_permissions(path, PermissionsExt::from_mode(0o644)).expect("the file is ours");
}

/// A manifest without digest.
pub fn manifest(id: &str, abilities: &[&str], library: &str) -> String {
    format!(
        "id = \"{id}\"\nvendor = \"Tests\"\nversion = \"1.0.0\"\nabi = 1\nabilities = {abilities:?}\n\
         library = \"{library}\"\nmemory_mb = 64\ncall_ms = 1000\nstart_ms = 3000\nevents = [\"known\"]\nmetrics = [\"known\"]\n"
    )
}

/// The manifest of the hostile plugin.
pub fn hostile_manifest() -> String {
    manifest("hostile", &["mednerd.normalizer/1"], "libmednerd_hostile.so")
}

/// A manifest of a plugin in the tree, whose `plugin.toml` is there.
pub fn example_manifest(example: &str) -> String {
    let path = root().join("plugins/examples").join(example).join("plugin.toml");
    fs::read_to_string(path).expect("each example has a manifest")
}

impl Site {
    /// Makes a plugin directory of a manifest and a built library, with the digest filled in and not signed.
    pub fn plugin(&self, folder: &str, manifest: &str, built: &Path) -> PathBuf {
        let directory = self.path(folder);
        fs::create_dir_all(&directory).expect("the folder can be made");
        fs::set_permissions(&directory, PermissionsExt::from_mode(0o755)).expect("the folder is ours");
        let bytes = fs::read(built).expect("the library is built");
        let digest: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let name = manifest
            .lines()
            .find_map(|line| line.strip_prefix("library = \"")?.strip_suffix('"'))
            .expect("the manifest names a library");
        write(&directory.join(name), &bytes);
        write(
            &directory.join("plugin.toml"),
            format!("{manifest}sha256 = \"{digest}\"\n").as_bytes(),
        );
        directory
    }

    /// Trusts a vendor: puts its key where [`policy`] looks.
    pub fn trust(&self, vendor: &Vendor, name: &str) {
        let keys = self.path("keys");
        fs::create_dir_all(&keys).expect("the folder can be made");
        fs::set_permissions(&keys, PermissionsExt::from_mode(0o755)).expect("the folder is ours");
        write(&keys.join(format!("{name}.pub")), vendor.public_key().as_bytes());
    }

    /// The hostile plugin in development, with these settings. A call may take a while, so that a busy machine does not
    /// end one that would have ended otherwise.
    pub fn hostile(&self, settings: &str) -> String {
        self.hostile_with("mednerd.normalizer/1", 5000, "", settings)
    }

    /// The same with this ability, this long a call, and more lines of policy.
    pub fn hostile_with(&self, ability: &str, call_ms: u32, more_policy: &str, settings: &str) -> String {
        let manifest = manifest("hostile", &[ability], "libmednerd_hostile.so");
        let manifest = manifest.replace("call_ms = 1000", &format!("call_ms = {call_ms}"));
        let directory = self.plugin("hostile", &manifest, &library("mednerd_hostile"));
        policy(true) + more_policy + &table(&directory, settings)
    }
}

/// `[plugin_policy]` for tests.
pub fn policy(development: bool) -> String {
    format!("[plugin_policy]\ntrusted_keys = \"keys\"\ndevelopment = {development}\n")
}

/// `[[plugins]]`
pub fn table(directory: &Path, settings: &str) -> String {
    let mut text = String::new();
    let _ = write!(
        text,
        "[[plugins]]\npath = \"{}\"\n[plugins.settings]\n{settings}\n",
        directory.display()
    );
    text
}

/// Whether plugins in production can be tried here: their files must belong to root.
pub fn production_can_be_tried() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        mednerd_skip::skipped("only root can make files that belong to root");
    }
    root
}
