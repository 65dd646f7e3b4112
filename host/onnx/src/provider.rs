//! Execution providers by name.

use std::fmt;
use std::str::FromStr;

/// What runs a model's operators, in ONNX Runtime's meaning.
///
/// Written as a name, with a device number after a colon where there can be several
/// devices: `cpu`, `cuda`, `cuda:1`, `openvino:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExecutionProvider {
    /// The processor; every library has it.
    Cpu,
    /// NVIDIA CUDA.
    Cuda {
        /// Which GPU.
        device_id: u32,
    },
    /// NVIDIA TensorRT.
    TensorRt {
        /// Which GPU.
        device_id: u32,
    },
    /// Intel OpenVINO.
    OpenVino {
        /// Which of Intel's GPUs (OpenVINO's `GPU.n`); `None` is OpenVINO's CPU device.
        device_id: Option<u32>,
    },
    /// Apple Core ML.
    CoreMl,
    /// DirectX 12.
    DirectMl {
        /// Which adapter.
        device_id: u32,
    },
}

/// A text that names no execution provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidProvider {
    /// The name is not known.
    #[error(
        "unknown execution provider \"{0}\"; one of cpu, cuda, tensorrt, openvino, coreml, \
         directml is expected, with a device number after a colon if need be, as in cuda:1"
    )]
    Unknown(String),
    /// What follows the colon is no device number.
    #[error("\"{0}\" names no device: write a number after the colon, as in cuda:1")]
    Device(String),
    /// The provider has no devices to choose from.
    #[error("execution provider {0} takes no device number")]
    NoDevice(&'static str),
}

// === impl ExecutionProvider ===

impl ExecutionProvider {
    /// The name in manifests, without a device.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda { .. } => "cuda",
            Self::TensorRt { .. } => "tensorrt",
            Self::OpenVino { .. } => "openvino",
            Self::CoreMl => "coreml",
            Self::DirectMl { .. } => "directml",
        }
    }

    /// The name ONNX Runtime gives it.
    pub(crate) const fn native_name(self) -> &'static str {
        match self {
            Self::Cpu => "CPUExecutionProvider",
            Self::Cuda { .. } => "CUDAExecutionProvider",
            Self::TensorRt { .. } => "TensorrtExecutionProvider",
            Self::OpenVino { .. } => "OpenVINOExecutionProvider",
            Self::CoreMl => "CoreMLExecutionProvider",
            Self::DirectMl { .. } => "DmlExecutionProvider",
        }
    }

    /// Whether one session may be run by several threads at the same time. ONNX Runtime
    /// promises it but for DirectML.
    pub(crate) const fn runs_concurrently(self) -> bool {
        !matches!(self, Self::DirectMl { .. })
    }
}

impl fmt::Display for ExecutionProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.as_str();
        match self {
            Self::Cuda { device_id }
            | Self::TensorRt { device_id }
            | Self::OpenVino {
                device_id: Some(device_id),
            }
            | Self::DirectMl { device_id } => write!(f, "{name}:{device_id}"),
            Self::Cpu | Self::CoreMl | Self::OpenVino { device_id: None } => f.write_str(name),
        }
    }
}

impl FromStr for ExecutionProvider {
    type Err = InvalidProvider;

    fn from_str(text: &str) -> Result<Self, InvalidProvider> {
        let (name, device) = match text.split_once(':') {
            None => (text, None),
            Some((name, device)) => (name, Some(device)),
        };
        let device_id: Option<u32> = match device {
            None => None,
            Some(number) => match number.parse() {
                Ok(number) => Some(number),
                Err(_) => return Err(InvalidProvider::Device(text.to_owned())),
            },
        };
        let first = device_id.unwrap_or_default();
        let provider = match name {
            "cpu" => Self::Cpu,
            "cuda" => Self::Cuda { device_id: first },
            "tensorrt" => Self::TensorRt { device_id: first },
            "openvino" => Self::OpenVino { device_id },
            "coreml" => Self::CoreMl,
            "directml" => Self::DirectMl { device_id: first },
            _ => return Err(InvalidProvider::Unknown(text.to_owned())),
        };
        match (provider, device_id) {
            (Self::Cpu | Self::CoreMl, Some(_)) => {
                Err(InvalidProvider::NoDevice(provider.as_str()))
            }
            _ => Ok(provider),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let written = [
            "cpu",
            "cuda:0",
            "cuda:3",
            "tensorrt:1",
            "openvino",
            "openvino:0",
            "coreml",
            "directml:2",
        ];
        for text in written {
            let provider: ExecutionProvider = text.parse().unwrap();
            assert_eq!(provider.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(ExecutionProvider::Cuda { device_id: 0 }));
    }

    #[test]
    fn other_names_are_refused_with_what_to_write() {
        let error = |text: &str| text.parse::<ExecutionProvider>().unwrap_err().to_string();
        let unknown = error("gpu");
        assert!(
            unknown.contains("\"gpu\"") && unknown.contains("tensorrt"),
            "{unknown}"
        );
        assert_eq!(
            error("cuda:first"),
            "\"cuda:first\" names no device: write a number after the colon, as in cuda:1"
        );
        assert_eq!(
            error("cpu:0"),
            "execution provider cpu takes no device number"
        );
        assert!(error("").contains("unknown execution provider"));
        assert!(error("CUDA").contains("unknown execution provider"));
    }
}
