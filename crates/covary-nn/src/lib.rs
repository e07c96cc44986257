//! Encoders and heads with flat parameters, on the CPU kernels or on Burn's operations
