//! The built-in `echo`: the input back, byte by byte.

use postrider_modules::{run, Config};

fn main() {
    run(|input| Ok(vec![Config::read(input, &[])?.output(input)?]));
}
