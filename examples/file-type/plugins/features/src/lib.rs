//! The file-type model's pre-processor: makes its tokens from the two ends of a file, and
//! answers by itself for files in which there is nothing for the model to see.
//!
//! It never sees a whole file: the host reads the windows that the manifest asks for.

mod config;
mod features;

pub use config::Config;
pub use features::{Features, Guess, Token, WindowError, Windows, add_ends, features};

use config::RawConfig;
use consort_sdk::{
    Assets, ByteString, Columns, Datatype, Description, Elements, Error, Example, Outcome, Outputs,
    Plugin, Preprocess, Tensor,
};
use file_type_content_types::{ANSWER, CONFIG_ASSET, ContentType, ContentTypes, label};

/// White space at an end of a file that is looked through without asking for all of a window.
const MARGIN: usize = 64;

/// The plugin.
#[derive(Debug)]
pub struct FileFeatures {
    config: Config,
    empty: ContentType,
    text: ContentType,
    unknown: ContentType,
}

consort_sdk::export!(FileFeatures: preprocess);

// === impl FileFeatures ===

impl Plugin for FileFeatures {
    fn init(config: &str, assets: &Assets) -> Result<Self, Error> {
        file_type_content_types::refuse_config(config)?;
        let config = file_type_content_types::parse::<RawConfig>(assets, CONFIG_ASSET)?
            .checked()
            .map_err(|error| error.within(format_args!("asset \"{CONFIG_ASSET}\"")))?;
        let types = ContentTypes::from_assets(assets)?;
        let answer = |label| {
            let content_type = types.content_type(label, "a file without enough content");
            content_type.cloned()
        };
        Ok(Self {
            config,
            empty: answer(label::EMPTY)?,
            text: answer(label::TXT)?,
            unknown: answer(label::UNKNOWN)?,
        })
    }
}

impl FileFeatures {
    /// How tokens are made.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

impl Preprocess for FileFeatures {
    fn describe(&self) -> Description {
        let description = Description::new()
            .input("head", Datatype::Bytes, [1])
            .input("tail", Datatype::Bytes, [1])
            .input("size", Datatype::Int64, [1])
            .forwards("bytes", Datatype::Int32, [self.config.token_count()]);
        ANSWER
            .iter()
            .fold(description, |description, (name, datatype)| {
                description.answers(name, *datatype, [1])
            })
    }

    fn preprocess(&self, example: &Example) -> Result<Outcome, Error> {
        let head: ByteString = example.byte_string("head")?;
        let tail: ByteString = example.byte_string("tail")?;
        let windows = Windows {
            head: &head,
            tail: &tail,
            size: size_of_file(example.element("size")?)?,
        };
        let guess = match features(&self.config, windows).map_err(Error::invalid_input)? {
            Features::Tokens(tokens) => {
                let bytes = Tensor::from_vec(&[tokens.len()], tokens)?;
                return Ok(Outcome::forward([("bytes", bytes)]));
            }
            Features::Guess(Guess::Empty) => &self.empty,
            Features::Guess(Guess::Text) => &self.text,
            Features::Guess(Guess::Unknown) => &self.unknown,
        };
        Ok(Outcome::answer(guess.answer(1.0)?))
    }

    /// Only where the model has something to see in each file, and near its ends: then less of
    /// the windows crosses, and tokens of a byte or two, which the host widens.
    fn preprocess_columns(&self, columns: &Columns) -> Result<Option<Outputs>, Error> {
        let config = &self.config;
        let ends = Ends {
            heads: columns.heads("head", config.beg_size + MARGIN)?,
            tails: columns.tails("tail", config.end_size + MARGIN)?,
            sizes: columns.read::<i64>("size")?,
        };
        let shape = [columns.count(), config.token_count()];
        let padding = u16::try_from(config.padding_token).ok();
        let narrow = match self.tokens::<u8>(&ends, None)? {
            Some(tokens) => Tensor::from_vec(&shape, tokens)?,
            None => match self.tokens(&ends, padding)? {
                Some(tokens) => Tensor::from_vec(&shape, tokens)?,
                None => return Ok(None),
            },
        };
        Ok(Some([("bytes", narrow.widen(Datatype::Int32)?)].into()))
    }
}

/// Where the windows of all files begin and end, and the sizes of the files.
struct Ends {
    heads: consort_sdk::Ends,
    tails: consort_sdk::Ends,
    sizes: Elements<i64>,
}

impl FileFeatures {
    /// The tokens of all files, if the ends of their windows are enough for that.
    fn tokens<T: Token>(&self, ends: &Ends, padding: Option<T>) -> Result<Option<Vec<T>>, Error> {
        let Ends {
            heads,
            tails,
            sizes,
        } = ends;
        let mut tokens = Vec::with_capacity(sizes.len() * self.config.token_count());
        for (((head, head_length), (tail, tail_length)), size) in
            heads.iter().zip(tails.iter()).zip(sizes.iter())
        {
            let size = size_of_file(*size)?;
            let ends = Windows { head, tail, size };
            let lengths = (head_length, tail_length);
            let added = add_ends(&self.config, ends, lengths, padding, &mut tokens);
            if !added.map_err(Error::invalid_input)? {
                return Ok(None);
            }
        }
        Ok(Some(tokens))
    }
}

fn size_of_file(size: i64) -> Result<u64, Error> {
    u64::try_from(size).map_err(|_| {
        Error::invalid_input(format!(
            "tensor \"size\" is {size}, the size of a file in bytes is expected"
        ))
    })
}

#[cfg(test)]
mod tests;
