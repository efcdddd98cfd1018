// What operations are made of: errors, the types of numbers, device memory, weights, FLOPs.
//
// Shapes in comments are [rows, columns]; a Buffer chooses its own row stride.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>

namespace magnets {

/// Carries a stable code to the caller ("ERR_CHECKPOINT", "ERR_OUT_OF_MEMORY", ...; docs/errors.md lists them).
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code(std::move(code)) {}
  const std::string code;
};

// Three different things that are often called "dtype".

/// The type of a tensor's elements in a file. i8: with a scale for each row.
enum class DType { f32, f16, bf16, i8 };

constexpr size_t element_size(DType dtype) { return dtype == DType::f32 ? 4 : dtype == DType::i8 ? 1 : 2; }

/// How a device keeps weights. int8: whole multiples, -128 .. 127, of a scale that each output has for all its inputs,
/// so that it holds for every prefix of them. Only the device looks inside.
struct WeightFormat {
  enum class Values { f32, f16, bf16, int8 } values;
  bool operator==(const WeightFormat&) const = default;

  /// The format of weights whose rounding to a byte would show.
  WeightFormat fine() const { return {values == Values::int8 ? Values::f32 : values}; }
};

/// The type of a device's activations. Sums are f32 whatever it is.
enum class ComputeType { f32, f16, bf16 };

/// A weight as a file has it: row-major [rows, columns] in host memory.
struct HostMatrix {
  const void* data;
  DType dtype;
  int rows;
  int columns;
  const void* scales = nullptr;  // f32 [rows], of i8 alone; the memory need not be aligned
};

/// The type of a buffer's elements. `activation` is the ComputeType of the backend.
enum class ElementType { activation, f32, i32, u8 };

/// Device memory, [rows, columns] of one element type.
class Buffer {
 public:
  virtual ~Buffer() = default;
  /// Rows from `first` on, if it has as many, are not read again before they have been written: where memory can go
  /// back to the system piece by piece, theirs does.
  virtual void discard_rows(int /*first*/) {}
};

/// A resident linear layer y = x Wᵀ + b, W [out, in]. Any prefix of its outputs and inputs can be used without a copy.
class Linear {
 public:
  virtual ~Linear() = default;
  /// Device memory that it takes.
  virtual size_t bytes() const = 0;
};

/// The size of the attention heads that a linear layer writes or reads, one after the other; 0 on a side that has no
/// heads.
struct HeadDims {
  int out = 0, in = 0;
};

/// A resident table of vectors that are looked up by number: [entries, columns].
class Table {
 public:
  virtual ~Table() = default;
  /// Device memory that it takes.
  virtual size_t bytes() const = 0;
};

/// Keys and values of every layer, head and position of a batch.
class KvCache {
 public:
  virtual ~KvCache() = default;
  /// The same of a branch.
  virtual void discard_branch(int /*branch*/) {}
};

/// layer_norm: (x - mean x) / sqrt(variance x + epsilon); rms_norm: x / sqrt(mean x² + epsilon).
enum class NormKind { layer_norm, rms_norm };

/// y = x under `kind` * weight + bias.
struct Norm {
  std::unique_ptr<Buffer> weight;  // f32 [1, d]
  std::unique_ptr<Buffer> bias;    // f32 [1, d], or none
  float epsilon;
  NormKind kind = NormKind::layer_norm;
};

/// Rows of activations as an operation reads them: with a norm, the operation applies it to them first. Whether it
/// does so while it computes (and never writes normalized rows) or beforehand is up to the device.
struct Input {
  std::reference_wrapper<const Buffer> x;
  const Norm* norm = nullptr;
};

/// What FLOPs are counted for.
enum class Part {
  projections,  // query, key, value, output, modulation, and a codec's first and last layers
  attention,    // scores, and the mix of values
  mlp,
  lm_head,
};

/// FLOPs by part; a multiply-add counts 2.
struct Flops {
  std::array<uint64_t, 4> by_part{};

  uint64_t& operator[](Part part) { return by_part[static_cast<size_t>(part)]; }
  uint64_t operator[](Part part) const { return by_part[static_cast<size_t>(part)]; }
  uint64_t total() const { return std::accumulate(by_part.begin(), by_part.end(), uint64_t{0}); }
  Flops& operator+=(const Flops& other) {
    for (size_t part = 0; part < by_part.size(); ++part) by_part[part] += other.by_part[part];
    return *this;
  }
  Flops operator-(const Flops& before) const {
    Flops difference = *this;
    for (size_t part = 0; part < by_part.size(); ++part) difference.by_part[part] -= before.by_part[part];
    return difference;
  }
  bool operator==(const Flops&) const = default;
};

}  // namespace magnets
