//! Makes a module of an example plugin.

fn main() {
    let path = "../../plugins/examples/hl7v2/src/lib.rs";
    println!("cargo:rerun-if-changed={path}");
    let text = std::fs::read_to_string(path).unwrap();
    let (own, _) = text.split_once("#[cfg(test)]\nmod tests").unwrap();
    let is_attribute = |line: &&str| line.starts_with("#![") || line.starts_with("//!");
    let lines: Vec<&str> = own.lines().filter(|line| !is_attribute(line)).collect();
    let out = std::env::var("OUT_DIR").unwrap();
    std::fs::write(format!("{out}/hl7v2.rs"), lines.join("\n")).unwrap();
}
