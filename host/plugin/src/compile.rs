//! Compiled code: from the cache, or made now, with `init` run and its picture taken.

use crate::cache::{Cache, CacheKey, Entry};
use crate::engine::Sandbox;
use crate::errors::LoadProblem;
use crate::link::CONTRACT_VERSION;
use crate::load::{Snapshot, blocking};
use crate::snapshot::{Picture, photograph};
use crate::state::PluginShare;
use crate::world::World;
use std::sync::Arc;
use wasmtime::component::Component;

/// Compiled code and what it is of.
pub(crate) struct Compiled {
    pub(crate) component: Component,
    pub(crate) snapshot: Snapshot,
    pub(crate) cached: bool,
}

/// What compiled code depends on.
pub(crate) struct Source {
    pub(crate) share: Arc<PluginShare>,
    pub(crate) wasm: Arc<[u8]>,
    pub(crate) sha256: [u8; 32],
    pub(crate) world: World,
    pub(crate) config: String,
}

// === impl Sandbox ===

impl Sandbox {
    /// Compiled code from the cache, or made now and kept there.
    pub(crate) async fn compiled(
        self: &Arc<Self>,
        source: &Source,
    ) -> Result<Compiled, LoadProblem> {
        if let Some(found) = self.cached(source).await {
            return Ok(found);
        }
        let _turn = self.compiling.lock().await;
        // Another load of the same component may have had the turn before.
        if let Some(found) = self.cached(source).await {
            return Ok(found);
        }
        let Source {
            share,
            world,
            wasm,
            config,
            ..
        } = source;
        let picture = photograph(self, share, world, wasm, config).await?;
        let (component, snapshot) = match picture {
            Picture::NotPossible(reason) => (self.compile(wasm.clone()).await?, Err(reason)),
            Picture::Taken(picture) => match self.compile(picture.into()).await {
                Ok(component) => (component, Ok(())),
                Err(problem) => {
                    let reason = format!("the snapshot does not compile: {problem}");
                    (self.compile(wasm.clone()).await?, Err(reason))
                }
            },
        };
        let not_snapshot = snapshot.err();
        self.keep_compiled(source, &component, not_snapshot.clone())
            .await;
        Ok(Compiled {
            component,
            snapshot: Snapshot::of(not_snapshot),
            cached: false,
        })
    }

    async fn compile(self: &Arc<Self>, wasm: Arc<[u8]>) -> Result<Component, LoadProblem> {
        let engine = self.engine.clone();
        blocking(move || {
            Component::new(&engine, &wasm)
                .map_err(|error| LoadProblem::Compile(format!("{error:#}")))
        })
        .await
    }

    async fn cached(self: &Arc<Self>, source: &Source) -> Option<Compiled> {
        let sandbox = self.clone();
        let key = source.key(self.cache.as_ref()?);
        let found = blocking(move || {
            let Some(entry) = sandbox.cache.as_ref().and_then(|cache| cache.load(&key)) else {
                return Ok(None);
            };
            let component = deserialize(&sandbox, &entry);
            Ok(component.map(|component| Compiled {
                component,
                snapshot: Snapshot::of(entry.not_snapshot),
                cached: true,
            }))
        });
        found.await.ok().flatten()
    }

    async fn keep_compiled(
        self: &Arc<Self>,
        source: &Source,
        component: &Component,
        not_snapshot: Option<String>,
    ) {
        let Some(cache) = &self.cache else { return };
        let key = source.key(cache);
        let (sandbox, component) = (self.clone(), component.clone());
        let kept = blocking(move || {
            let code = component
                .serialize()
                .map_err(|error| LoadProblem::Internal(error.to_string()))?;
            let entry = Entry { not_snapshot, code };
            if let Some(cache) = &sandbox.cache {
                cache.store(&key, &entry);
            }
            Ok(())
        });
        if let Err(problem) = kept.await {
            tracing::warn!(target: "consort::plugin", %problem, "compiled code is not kept");
        }
    }
}

// === impl Source ===

impl Source {
    fn key(&self, cache: &Cache) -> CacheKey {
        let count = self.share.assets.len().to_le_bytes();
        let models = self.share.models.fingerprint();
        let mut parts: Vec<&[u8]> = vec![
            CONTRACT_VERSION.as_bytes(),
            &self.sha256,
            self.config.as_bytes(),
            models.as_bytes(),
            &count,
        ];
        for (name, content) in &self.share.assets {
            parts.extend([name.as_bytes(), content]);
        }
        cache.key(&parts)
    }
}

fn deserialize(sandbox: &Sandbox, entry: &Entry) -> Option<Component> {
    // SAFETY: the bytes were written by `Cache::store` of this user: `Cache::load` hands
    // out only content of a file that belongs to this user, in a folder that nobody else
    // may enter, and whose digest covers the content and its key. wasmtime itself checks
    // that they were made by an engine like this one.
    #[expect(unsafe_code, reason = "compiled code can only be trusted, not checked")]
    let component = unsafe { Component::deserialize(&sandbox.engine, &entry.code) };
    component
        .inspect_err(|error| {
            tracing::warn!(
                target: "consort::plugin",
                %error,
                "compiled code of the cache does not fit; the plugin is compiled again"
            );
        })
        .ok()
}
