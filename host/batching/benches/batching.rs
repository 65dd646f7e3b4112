//! How near the learned policy comes to one that knows the costs, beside Beam's algorithm and
//! a fixed delay of Triton's kind, under the same load, in simulations: the times are those
//! of a model that does not exist, and the same on every machine.
//!
//! `cargo bench -p consort-batching --profile dev --bench batching`; lines that begin with
//! `bench: ` are collected by `cargo xtask bench`.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::unwrap_used, reason = "a bench may break off")]

#[path = "../tests/simulator/mod.rs"]
mod simulator;

use simulator::{Player, load, shapes};

const RUNS: usize = 1_200;
const RIVALS: [Player; 2] = [Player::Beam, Player::Fixed];

fn main() {
    println!("part of the best throughput, steady, with more to do than can be done\n");
    println!("{:<28}{:>9}{:>9}{:>9}", "cost", "learned", "Beam", "fixed");
    let mut lines = Vec::new();
    for shape in shapes::all().iter().filter(|shape| shape.slow.is_none()) {
        let part =
            |player| load::saturated(shape, player, RUNS).throughput(0.5) / shape.best_rate();
        let [beam, fixed] = RIVALS.map(part);
        let learned = part(Player::Learned);
        println!("{:<28}{learned:>9.3}{beam:>9.3}{fixed:>9.3}", shape.name);
        let word = if learned >= 0.95 { "ok" } else { "short" };
        lines.push(format!(
            "bench: batching, {} | {learned:.3} of the oracle | goal 0.95 | {word}",
            shape.name
        ));
    }
    let texts = shapes::texts();
    let part = |player| load::finite(&texts, player, 1_800).efficiency(&texts);
    let ([beam, fixed], learned) = (RIVALS.map(part), part(Player::Learned));
    println!(
        "{:<28}{learned:>9.3}{beam:>9.3}{fixed:>9.3}",
        "1,800 texts, 29 lengths"
    );
    let word = if learned >= 0.95 { "ok" } else { "short" };
    lines.push(format!(
        "bench: batching, the first 1,800 texts of 29 lengths | {learned:.3} of the oracle | goal 0.95 | {word}"
    ));
    println!("\np99 of calls at 70 % of the best throughput, ms\n");
    println!(
        "{:<28}{:>9}{:>9}{:>9}{:>9}",
        "cost", "learned", "oracle", "Beam", "fixed"
    );
    for shape in shapes::all().iter().filter(|shape| shape.slow.is_none()) {
        let bursts = shape.name == shapes::bursts().name;
        let p99 = |player| {
            let played = match bursts {
                true => load::bursts(shape, player),
                false => load::open(shape, player, 0.7),
            };
            played.latency_ms(0.99)
        };
        let [beam, fixed] = RIVALS.map(p99);
        let (learned, oracle) = (p99(Player::Learned), p99(Player::Oracle));
        println!(
            "{:<28}{learned:>9.0}{oracle:>9.0}{beam:>9.0}{fixed:>9.0}",
            shape.name
        );
        let word = if learned <= oracle * 1.25 {
            "ok"
        } else {
            "short"
        };
        lines.push(format!(
            "bench: batching p99 at 70 %, {} | {learned:.0} ms | goal {:.0} ms | {word}",
            shape.name,
            oracle * 1.25
        ));
    }
    println!();
    for line in lines {
        println!("{line}");
    }
}
