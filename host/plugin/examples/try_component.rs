//! Scratch.
#![allow(clippy::all, clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing)]
use consort_inference::*;
use consort_plugin::*;
use prometheus_client::registry::Registry;
#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    println!("{:#?}", Sandbox::inspect(args[1].as_ref()));
    for _ in 0..2 {
        let t = tokio::time::Instant::now();
        let sandbox = Sandbox::new(Config { cache_dir: Some("/tmp/w/plugin-cache".into()), ..Config::default() }, &mut Registry::default()).unwrap();
        println!("sandbox {:?}", t.elapsed());
        let mut config = PluginConfig::new("p".parse().unwrap(), &args[1]);
        for asset in ["config.json=config.min.json", "content_types.json=content_types_kb.min.json"] {
            let (n, f) = asset.split_once('=').unwrap();
            config.assets.insert(n.into(), format!("examples/file-type/model/{f}").into());
        }
        let plugin = match sandbox.load(config).await { Ok(p) => p, Err(e) => { println!("{e}"); return } };
        println!("{:#?}\n{:#?}", plugin.load_report(), plugin);
        let specs = plugin.postprocess().cloned().or(plugin.preprocess().map(|d| d.signature.clone())).unwrap();
        let example = || {
            let tensors = specs.inputs.iter().map(|s| {
                let shape: Vec<usize> = s.shape.iter().map(|d| d.unwrap_or(1)).collect();
                let n: usize = shape.iter().product();
                let t = match s.datatype {
                    Datatype::Bytes => Tensor::from_byte_strings(shape, vec!["hello world, this is text"; n]).unwrap(),
                    d => Tensor::new(d, shape, vec![0u8; n * d.size_bytes().unwrap()].into()).unwrap(),
                };
                (s.name.clone(), t)
            });
            Example { tenant: TenantId::default(), key: None, tensors: Tensors::from_named(tensors).unwrap() }
        };
        for i in 0..6 {
            let t = tokio::time::Instant::now();
            let r = if plugin.postprocess().is_some() { format!("{:?}", plugin.run_postprocess(vec![example()], Call::default()).await) } else { format!("{:?}", plugin.run_preprocess(vec![example()], Call::default()).await) };
            println!("call {i} {:?} {}", t.elapsed(), &r[..r.len().min(300)]);
        }
    }
}
