//! Stands in for candle's kernels, of which the GPU engine runs none: its tensors hold memory, and their products are cuBLAS's.
//! So nvcc has half an hour less to do, and the worker needs no libcudart.
//!
//! An operation of candle's that would run one of them fails with the driver's error about an invalid image. One that would call
//! a launcher of quantised products does not link.
#![allow(missing_docs, non_snake_case)]

/// The modules, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Id {
    Affine,
    Binary,
    Cast,
    Conv,
    Fill,
    Indexing,
    Quantized,
    Reduce,
    Sort,
    Ternary,
    Unary,
}

/// One module.
pub struct Module(Id);

impl Module {
    /// Its place in [`ALL_IDS`].
    pub fn index(&self) -> usize {
        self.0 as usize
    }

    /// Its PTX: none.
    pub fn ptx(&self) -> &'static str {
        ""
    }
}

macro_rules! modules {
    ($($name:ident = $id:ident),*) => {
        pub const ALL_IDS: [Id; 11] = [$(Id::$id),*];
        $(pub const $name: Module = Module(Id::$id);)*
    };
}
modules!(
    AFFINE = Affine,
    BINARY = Binary,
    CAST = Cast,
    CONV = Conv,
    FILL = Fill,
    INDEXING = Indexing,
    QUANTIZED = Quantized,
    REDUCE = Reduce,
    SORT = Sort,
    TERNARY = Ternary,
    UNARY = Unary
);

/// Launchers of products with quantised weights, declared and not defined.
pub mod ffi {
    use core::ffi::c_void;

    type In = *const c_void;
    type Out = *mut c_void;

    macro_rules! launchers {
        ($arguments:tt: $($name:ident)*) => {
            unsafe extern "C" { $(pub fn $name $arguments;)* }
        };
    }
    launchers!((_: In, _: In, _: Out, _: i32, _: i32, _: i32, _: i32, _: i32, _: Out):
        launch_mmvq_gguf_q4_0_bf16_plain launch_mmvq_gguf_q4_0_f16_plain launch_mmvq_gguf_q4_0_f32_plain
        launch_mmvq_gguf_q4_1_bf16_plain launch_mmvq_gguf_q4_1_f16_plain launch_mmvq_gguf_q4_1_f32_plain
        launch_mmvq_gguf_q5_0_bf16_plain launch_mmvq_gguf_q5_0_f16_plain launch_mmvq_gguf_q5_0_f32_plain
        launch_mmvq_gguf_q5_1_bf16_plain launch_mmvq_gguf_q5_1_f16_plain launch_mmvq_gguf_q5_1_f32_plain
        launch_mmvq_gguf_q8_0_bf16_plain launch_mmvq_gguf_q8_0_f16_plain launch_mmvq_gguf_q8_0_f32_plain
        launch_mmvq_gguf_q2_k_bf16_plain launch_mmvq_gguf_q2_k_f16_plain launch_mmvq_gguf_q2_k_f32_plain
        launch_mmvq_gguf_q3_k_bf16_plain launch_mmvq_gguf_q3_k_f16_plain launch_mmvq_gguf_q3_k_f32_plain
        launch_mmvq_gguf_q4_k_bf16_plain launch_mmvq_gguf_q4_k_f16_plain launch_mmvq_gguf_q4_k_f32_plain
        launch_mmvq_gguf_q5_k_bf16_plain launch_mmvq_gguf_q5_k_f16_plain launch_mmvq_gguf_q5_k_f32_plain
        launch_mmvq_gguf_q6_k_bf16_plain launch_mmvq_gguf_q6_k_f16_plain launch_mmvq_gguf_q6_k_f32_plain);
    launchers!((_: In, _: Out, _: i32, _: i32, _: i32, _: Out):
        launch_mmvq_gguf_quantize_q8_1_bf16 launch_mmvq_gguf_quantize_q8_1_f16 launch_mmvq_gguf_quantize_q8_1_f32);
    launchers!((_: In, _: *const i32, _: Out, _: i32, _: i64, _: i64, _: i64, _: i64, _: i64, _: i64, _: i64, _: i64, _: Out):
        launch_mmq_quantize_q8_1_D4 launch_mmq_quantize_q8_1_DS4 launch_mmq_quantize_q8_1_D2S6);
    launchers!((_: Out, _: In, _: In, _: Out, _: i64, _: i64, _: i64, _: i64, _: i64, _: i32, _: i32, _: i64, _: i32, _: Out):
        launch_mmq_gguf_q4_0 launch_mmq_gguf_q4_1 launch_mmq_gguf_q5_0 launch_mmq_gguf_q5_1 launch_mmq_gguf_q8_0
        launch_mmq_gguf_q2_k launch_mmq_gguf_q3_k launch_mmq_gguf_q4_k launch_mmq_gguf_q5_k launch_mmq_gguf_q6_k);
}
