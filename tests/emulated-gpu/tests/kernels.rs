//! Each kernel against its definition in double precision, on the emulation, and what the emulation itself is good for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use mednerd_emulated_gpu::{Buffer, Emulated};
use mednerd_engine_gpu::{Arg, Device, Kind, Launch, Values, checks, e4m3};
use mednerd_gpu::protocol::Precision;

#[test]
fn every_kernel_is_its_definition() {
    for precision in [Precision::Fp32, Precision::Fp16, Precision::Bf16] {
        for &name in checks::KERNELS {
            // The long ones are the same in each precision but for rounding.
            let cases = if name != "attend_long" {
                16
            } else {
                u64::from(precision == Precision::Fp32)
            };
            checks::kernel(
                &Emulated::new(precision, 9).watched(),
                name,
                precision as u64,
                cases,
            );
        }
    }
    // The others are those of bf16.
    checks::kernel(&Emulated::new(Precision::Fp8, 9).watched(), "in_8_bits", 3, 16);
}

#[test]
fn attention_by_warpgroups_is_its_definition() {
    for precision in [Precision::Fp16, Precision::Bf16] {
        let device = Emulated::new(precision, 9).watched().by_warpgroups();
        checks::kernel(&device, "attend_tensor", precision as u64, 12);
    }
    let device = Emulated::new(Precision::Bf16, 9).by_warpgroups();
    checks::kernel(&device, "attend_long", 4, 1);
}

fn out(device: &Emulated, count: usize) -> Buffer {
    device.allocate(Kind::Elements, count).unwrap()
}

/// The emulation's own half types: all of them, and what lies between them.
#[test]
fn numbers_are_rounded_as_ieee_754_says() {
    for precision in [Precision::Fp16, Precision::Bf16] {
        let device = Emulated::new(precision, 1);
        let every = (0..=u16::MAX).map(|bits| match precision {
            Precision::Fp16 => half::f16::from_bits(bits).to_f32(),
            _ => half::bf16::from_bits(bits).to_f32(),
        });
        let values: Vec<f32> = every.filter(|value| value.is_finite()).collect();
        // Products of two halves are exact in single precision, and rounded once.
        let pairs: Vec<f32> = values
            .iter()
            .zip(values.iter().rev())
            .flat_map(|(a, b)| [*a, *b])
            .collect();
        let x = device.upload(Values::Elements(&pairs)).unwrap();
        let out = out(&device, values.len());
        let arguments = [
            Arg::Buffer(Some(&x)),
            Arg::Buffer(None),
            Arg::Buffer(Some(&out)),
            Arg::Buffer(None),
            Arg::Buffer(None),
            Arg::Int(1),
            Arg::Int(0),
        ];
        let launch = Launch {
            grid: (values.len(), 1),
            block: 32,
            shared: 0,
        };
        device.launch("gate", launch, &arguments).unwrap();
        for (pair, found) in pairs.chunks(2).zip(device.values(&out)) {
            let product = pair[0] * pair[1];
            let expected = match precision {
                Precision::Fp16 => half::f16::from_f32(product).to_f32(),
                _ => half::bf16::from_f32(product).to_f32(),
            };
            assert_eq!(found.to_bits(), expected.to_bits(), "{pair:?}");
        }
    }
}

/// All numbers of 8 bits, and what lies between them.
#[test]
fn numbers_of_8_bits_are_rounded_to_the_nearest() {
    let device = Emulated::new(Precision::Fp32, 1);
    let known: Vec<f32> = (0..0x7f).map(e4m3).collect();
    assert!(known.is_sorted() && known[0x7e] == 448.0 && e4m3(0x7f).is_nan());
    // The largest is in each row, so that its scale is one.
    let between = known.windows(2).flat_map(|pair| {
        let half = f32::midpoint(pair[0], pair[1]);
        [pair[0], half.next_down(), half, half.next_up()]
    });
    let mut x: Vec<f32> = between.flat_map(|x| [x, -x]).collect();
    x.push(448.0);
    let nearest = |x: f32| {
        let size = x.abs();
        let bits = (0..0x7f_u8).min_by(|a, b| {
            let [of_a, of_b] = [a, b].map(|bits| (e4m3(*bits) - size).abs());
            of_a.total_cmp(&of_b).then((a & 1).cmp(&(b & 1)))
        });
        e4m3(bits.unwrap()).copysign(x)
    };
    let expected: Vec<f32> = x.iter().map(|x| nearest(*x)).collect();
    let on_device = device.upload(Values::Elements(&x)).unwrap();
    let out = device.allocate(Kind::E4m3, x.len()).unwrap();
    let scale = device.allocate(Kind::Floats, 1).unwrap();
    let arguments = [
        Arg::Buffer(Some(&on_device)),
        Arg::Buffer(Some(&out)),
        Arg::Buffer(Some(&scale)),
        Arg::Int(x.len()),
    ];
    let launch = Launch {
        grid: (1, 1),
        block: 64,
        shared: 32 + x.len(),
    };
    device.launch("quantise", launch, &arguments).unwrap();
    assert_eq!(device.values(&scale), [1.0]);
    assert_eq!(device.values(&out), expected);
}

#[test]
fn what_is_wrong_is_noticed() {
    let device = Emulated::new(Precision::Fp32, 1);
    let x = device.upload(Values::Elements(&[1.0; 8])).unwrap();
    let small = out(&device, 4);
    let launch = Launch {
        grid: (1, 1),
        block: 32,
        shared: 0,
    };
    let gate = |out: &Buffer, width: usize| {
        let arguments = [
            Arg::Buffer(Some(&x)),
            Arg::Buffer(None),
            Arg::Buffer(Some(out)),
            Arg::Buffer(None),
            Arg::Buffer(None),
            Arg::Int(width),
            Arg::Int(0),
        ];
        device.launch("gate", launch, &arguments)
    };
    gate(&small, 4).unwrap();
    let beyond = out(&device, 2);
    assert!(
        gate(&beyond, 4)
            .unwrap_err()
            .to_string()
            .contains("beyond a buffer")
    );
    assert!(
        device
            .launch("gate", launch, &[])
            .unwrap_err()
            .to_string()
            .contains("other arguments")
    );
    assert!(
        device
            .launch("no_such", launch, &[])
            .unwrap_err()
            .to_string()
            .contains("no kernel")
    );
    let unwritten = out(&device, 3);
    assert!(device.values(&unwritten).iter().all(|value| value.is_nan()));
}

/// A row may be written over itself, each thread what it alone has read; the second row would be written over the first one's other half.
#[test]
fn threads_that_meet_without_a_barrier_are_noticed() {
    let gate = |device: &Emulated, rows: usize| {
        let x = device.upload(Values::Elements(&[1.0; 256])).unwrap();
        let arguments = [
            Arg::Buffer(Some(&x)),
            Arg::Buffer(None),
            Arg::Buffer(Some(&x)),
            Arg::Buffer(None),
            Arg::Buffer(None),
            Arg::Int(64),
            Arg::Int(0),
        ];
        let launch = Launch {
            grid: (rows, 1),
            block: 32,
            shared: 0,
        };
        device.launch("gate", launch, &arguments)
    };
    let device = Emulated::new(Precision::Fp32, 1);
    gate(&device, 2).unwrap();
    let device = device.watched();
    gate(&device, 1).unwrap();
    let why = gate(&device, 2).unwrap_err().to_string();
    assert!(why.contains("no barrier between them"), "{why}");
}

/// A product by a warpgroup: what memory it is told of, and what is done otherwise than it should be.
#[derive(Clone, Copy)]
struct Asked {
    columns: usize,
    turned: bool,
    begin: usize,
    growth: usize,
    leading: usize,
    stride: usize,
    swizzle: usize,
    wrong: usize,
}

/// Of 64 columns, each a row of shared memory.
const ROWS: Asked = Asked {
    columns: 64,
    turned: false,
    begin: 0,
    growth: 32,
    leading: 16,
    stride: 1024,
    swizzle: 1,
    wrong: 0,
};

/// Of 64 columns that are columns there too.
const TURNED: Asked = Asked {
    turned: true,
    growth: 2048,
    ..ROWS
};

/// What comes of it, and what should: all numbers are eighths below 2, so that sums are exact.
fn product_by_warpgroup(precision: Precision, asked: Asked) -> Result<(), String> {
    let device = Emulated::new(precision, 5).watched();
    let columns = asked.columns;
    let number = |place: usize| (((place * 2_654_435_761) >> 13) % 31) as f32 / 8.0 - 1.875;
    let a: Vec<f32> = (0..64 * 64).map(number).collect();
    let b = |k: usize, n: usize| number(7919 + k * 128 + n);
    let mut image = vec![0.0; 64 * columns];
    for k in 0..64 {
        for n in 0..columns {
            // As the PTX manual writes the layouts of 128-byte swizzles, in bytes.
            let plain = match asked.turned {
                false => n * 128 + k * 2,
                true => n / 64 * 8192 + k * 128 + n % 64 * 2,
            };
            image[(plain ^ (plain >> 7 & 7) << 4) / 2] = b(k, n);
        }
    }
    let [on_a, on_image] = [&a, &image].map(|values| device.upload(Values::Elements(values)).unwrap());
    let out = device.allocate(Kind::Floats, 64 * columns).unwrap();
    let Asked {
        begin,
        growth,
        leading,
        stride,
        swizzle,
        wrong,
        ..
    } = asked;
    let numbers = [
        image.len(),
        begin,
        growth,
        leading,
        stride,
        swizzle,
        usize::from(asked.turned),
        wrong,
    ];
    let buffers = [&on_a, &on_image, &out].map(|buffer| Arg::Buffer(Some(buffer)));
    let arguments: Vec<_> = buffers.into_iter().chain(numbers.map(Arg::Int)).collect();
    let launch = Launch {
        grid: (1, 1),
        block: 128,
        shared: image.len() / 2,
    };
    let launched = device.launch(&format!("product_{columns}"), launch, &arguments);
    launched.map_err(|error| error.to_string())?;
    let expected: Vec<f32> = (0..64 * columns)
        .map(|place| {
            let (row, n) = (place / columns, place % columns);
            (0..64).map(|k| a[row * 64 + k] * b(k, n)).sum()
        })
        .collect();
    assert_eq!(
        device.values(&out),
        expected,
        "{columns} columns, turned: {}",
        asked.turned
    );
    Ok(())
}

#[test]
fn a_warpgroup_multiplies_matrices() {
    for precision in [Precision::Fp16, Precision::Bf16] {
        product_by_warpgroup(precision, ROWS).unwrap();
        product_by_warpgroup(precision, TURNED).unwrap();
        let wide = Asked {
            columns: 128,
            leading: 8192,
            ..TURNED
        };
        product_by_warpgroup(precision, wide).unwrap();
    }
}

#[test]
fn what_a_warpgroup_may_not_do_is_noticed() {
    let wrong = |wrong: usize| Asked { wrong, ..ROWS };
    let begin = |begin: usize| Asked { begin, ..ROWS };
    let cases = [
        (wrong(1), "beyond the 128 bytes of its rows"),
        (wrong(2), "not shown to products before a barrier"),
        (wrong(3), "no barrier between them"),
        (wrong(4), "touched since it began products"),
        (wrong(5), "touched since it began products"),
        (wrong(6), "before it was waited for"),
        (wrong(7), "before it was waited for"),
        (wrong(8), "no barrier between them"),
        (wrong(9), "not all of its warpgroup have"),
        (begin(128), "begin elsewhere than at a whole multiple of 1,024"),
        (begin(16), "beyond the 128 bytes of its rows"),
        (begin(1024), "not in its shared memory"),
        (Asked { swizzle: 2, ..ROWS }, "layout that is not emulated"),
        (Asked { begin: 16, ..TURNED }, "beyond the 128 bytes of its rows"),
    ];
    for (asked, expected) in cases {
        let why = product_by_warpgroup(Precision::Bf16, asked).unwrap_err();
        assert!(why.contains(expected), "{expected}: {why}");
    }
}
