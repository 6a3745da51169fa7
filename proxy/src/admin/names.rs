//! The names under which metrics go out, each with its help, kind and unit.

use std::fmt::Error;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

pub(super) const BYTES: Option<&Unit> = Some(&Unit::Bytes);
pub(super) const SECONDS: Option<&Unit> = Some(&Unit::Seconds);

/// A metric of many labels.
pub(super) struct Family<'a>(MetricEncoder<'a>);

pub(super) type Labels<'a> = [(&'a str, &'a str)];

impl Family<'_> {
    pub(super) fn count(&mut self, labels: &Labels<'_>, value: u64) -> Result<(), Error> {
        if labels.is_empty() {
            return self.0.encode_counter::<NoLabelSet, _, u64>(&value, None);
        }
        let mut one = self.0.encode_family(&labels)?;
        one.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    pub(super) fn gauge(&mut self, labels: &Labels<'_>, value: f64) -> Result<(), Error> {
        if labels.is_empty() {
            return self.0.encode_gauge(&value);
        }
        self.0.encode_family(&labels)?.encode_gauge(&value)
    }
}

/// Names metrics in order.
pub(super) struct Names<'a>(pub(super) DescriptorEncoder<'a>);

impl Names<'_> {
    pub(super) fn counter<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'static Unit>,
    ) -> Result<Family<'s>, Error> {
        self.family(name, help, unit, MetricType::Counter)
    }

    pub(super) fn gauge<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'static Unit>,
    ) -> Result<Family<'s>, Error> {
        self.family(name, help, unit, MetricType::Gauge)
    }

    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'static Unit>,
        kind: MetricType,
    ) -> Result<Family<'s>, Error> {
        Ok(Family(self.0.encode_descriptor(name, help, unit, kind)?))
    }
}
