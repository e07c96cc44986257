//! The laboratory: loss terms, methods, training, probes and collapse metrics
