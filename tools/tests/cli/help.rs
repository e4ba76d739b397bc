//! What the help of each subcommand shows.

use crate::program::run;

#[test]
fn every_subcommand_has_an_example_that_names_it() {
    let help = run(["--help"]).ok().stdout;
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let indented = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = indented.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names.into_iter().filter(|&name| name != "help") {
        let help = run([name, "--help"]).ok().stdout;
        assert!(help.contains("Example") && help.contains(&format!("  kithdb {name}")), "{name}: {help}");
    }
}
