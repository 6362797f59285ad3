//! Clock and power of a board while something runs, by NVML.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::Clock;
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id::NVML_FI_DEV_POWER_INSTANT;
use nvml_wrapper::{Device, Nvml};

/// One board, as NVML sees it.
#[derive(Clone)]
pub(crate) struct Meter {
    nvml: Arc<Nvml>,
    bus: String,
}

/// What was seen while something ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Watched {
    /// Mean SM clock in hertz.
    pub(crate) clock: Option<f64>,
    /// Mean power of the board in watts.
    pub(crate) power: Option<f64>,
    /// Share of the looks at which the clock was held down, by cause; only causes that were seen.
    pub(crate) throttled: BTreeMap<String, f64>,
}

/// One look.
#[derive(Clone, Copy)]
struct Look {
    clock: Option<f64>,
    power: Option<f64>,
    held_by: ThrottleReasons,
}

/// A thread that looks every ten milliseconds until it is asked for what it saw.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Look>>>,
}

impl Meter {
    /// The board at that place on the PCI bus; `None` where NVML is missing or does not know it.
    pub(crate) fn open(bus: &str) -> Option<Self> {
        // The driver installs only the name with the version, which is not what the wrapper tries.
        let nvml = Nvml::builder().lib_path("libnvidia-ml.so.1".as_ref()).init().ok()?;
        nvml.device_by_pci_bus_id(bus).ok()?;
        Some(Self { nvml: Arc::new(nvml), bus: bus.to_owned() })
    }

    /// Starts to look.
    pub(crate) fn watch(&self) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let (meter, stopped) = (self.clone(), stop.clone());
        let thread = std::thread::spawn(move || meter.looks(&stopped));
        Watch { stop, thread: Some(thread) }
    }

    /// Version of the driver.
    pub(crate) fn driver(&self) -> Option<String> {
        self.nvml.sys_driver_version().ok()
    }

    /// Power limit in watts.
    pub(crate) fn power_limit(&self) -> Option<f64> {
        Some(f64::from(self.device()?.enforced_power_limit().ok()?) / 1e3)
    }

    /// Highest SM clock in hertz.
    pub(crate) fn clock_max(&self) -> Option<f64> {
        Some(f64::from(self.device()?.max_clock_info(Clock::SM).ok()?) * 1e6)
    }

    /// Highest memory clock in hertz.
    pub(crate) fn memory_clock_max(&self) -> Option<f64> {
        Some(f64::from(self.device()?.max_clock_info(Clock::Memory).ok()?) * 1e6)
    }

    fn device(&self) -> Option<Device<'_>> {
        self.nvml.device_by_pci_bus_id(self.bus.as_str()).ok()
    }

    fn looks(&self, stop: &AtomicBool) -> Vec<Look> {
        let mut looks = Vec::new();
        let Some(device) = self.device() else { return looks };
        while !stop.load(Ordering::Relaxed) {
            looks.push(Look {
                clock: device.clock_info(Clock::SM).ok().map(|mhz| f64::from(mhz) * 1e6),
                power: power(&device),
                held_by: device.current_throttle_reasons().unwrap_or(ThrottleReasons::NONE),
            });
            // Woken when it shall stop.
            std::thread::park_timeout(Duration::from_millis(10));
        }
        looks
    }
}

impl Watch {
    /// Stops looking and says what was seen.
    pub(crate) fn finish(mut self) -> Watched {
        self.stop.store(true, Ordering::Relaxed);
        let join = |thread: JoinHandle<Vec<Look>>| {
            thread.thread().unpark();
            thread.join().ok()
        };
        summarize(&self.thread.take().and_then(join).unwrap_or_default())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Watts at this moment; the plain call gives the mean of the last second on newer boards, which is longer than we time.
fn power(device: &Device<'_>) -> Option<f64> {
    let now = device.field_values_for(&[FieldId(NVML_FI_DEV_POWER_INSTANT)]).ok();
    let now = now.and_then(|values| values.into_iter().next()?.ok()?.value.ok());
    match now {
        Some(SampleValue::U32(milliwatts)) if milliwatts > 0 => Some(f64::from(milliwatts) / 1e3),
        _ => device.power_usage().ok().map(|milliwatts| f64::from(milliwatts) / 1e3),
    }
}

fn summarize(looks: &[Look]) -> Watched {
    let causes = [
        ("throttled-power", ThrottleReasons::SW_POWER_CAP | ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN),
        ("throttled-heat", ThrottleReasons::SW_THERMAL_SLOWDOWN | ThrottleReasons::HW_THERMAL_SLOWDOWN),
    ];
    let mut throttled = BTreeMap::new();
    for (name, cause) in causes {
        let n = looks.iter().filter(|look| look.held_by.intersects(cause)).count();
        if n > 0 {
            throttled.insert(name.to_owned(), n as f64 / looks.len() as f64);
        }
    }
    Watched { clock: mean(looks, |look| look.clock), power: mean(looks, |look| look.power), throttled }
}

fn mean(looks: &[Look], value: impl Fn(&Look) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = looks.iter().filter_map(value).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_averaged_and_causes_counted() {
        let free = Look { clock: Some(2.0), power: None, held_by: ThrottleReasons::NONE };
        let held = Look { clock: Some(1.0), power: Some(700.0), held_by: ThrottleReasons::SW_POWER_CAP };
        let seen = summarize(&[free, held, free, held]);
        assert_eq!((seen.clock, seen.power), (Some(1.5), Some(700.0)));
        assert_eq!(seen.throttled, BTreeMap::from([("throttled-power".to_owned(), 0.5)]));
        assert_eq!(summarize(&[]), Watched::default());
    }
}
