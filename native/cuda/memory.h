// Buffers, weights and K/V caches in device memory.
#pragma once

#include <memory>

#include "../ops/types.h"
#include "device.h"
#include "rounding.h"

namespace magnets::cuda {

/// Elements of a row start at a multiple of 16 bytes, as vector loads, cp.async and TMA need.
constexpr int kRowAlignment = 16;

/// Elements from a head to the next one of a row, and from a key to the next one: heads begin where rows may. What is
/// between them is zeros, which add nothing to a score or a product.
constexpr int head_stride(int head_dim) { return static_cast<int>(round_up(head_dim, kRowAlignment / 2)); }

/// The place of element `index` in a row of heads, which is also how many elements the first `index` take with the
/// zeros; `index` itself where there are no heads (head_dim 0).
constexpr int spread(int index, int head_dim) {
  return head_dim % (kRowAlignment / 2) == 0 ? index : index / head_dim * head_stride(head_dim) + index % head_dim;
}

/// A type that a CUDA device computes in: bf16 or f16. The host's view of one element.
uint16_t to_bits(float value, ComputeType type);
float from_bits(uint16_t bits, ComputeType type);

/// Rows of one element type. Activations are bf16 or f16, as the backend was opened.
class CudaBuffer : public Buffer {
 public:
  /// head_dim: of columns that are heads, else 0.
  CudaBuffer(const std::shared_ptr<Device>& device, ElementType type, int rows, int columns, int head_dim = 0);
  static size_t bytes_of(ElementType type, int rows, int columns, int head_dim);

  /// Rows of so many columns, as many as its memory holds. Of any content, and no heads.
  void reshape(int columns);

  ElementType type() const { return type_; }
  size_t element_size() const { return element_size_; }
  int stride() const { return stride_; }  // elements
  int head_dim() const { return head_dim_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(memory_.get());
  }

 private:
  ElementType type_;
  size_t element_size_;
  int stride_, head_dim_;
  DeviceMemory memory_;
};

/// A matrix of weights in the compute type, row-major, its heads spread. Throws ERR_CHECKPOINT where a weight is not
/// finite or, rounded, is not.
class WeightMatrix {
 public:
  WeightMatrix(const std::shared_ptr<Device>& device, const HostMatrix& matrix, ComputeType type, HeadDims heads = {});

  int rows() const { return rows_; }
  int stride() const { return stride_; }  // elements
  const void* get() const { return memory_.get(); }
  size_t bytes() const { return memory_.bytes(); }

 private:
  int rows_, stride_;
  DeviceMemory memory_;
};

/// W [out, in] as the checkpoint has it: a sub-model's W is its upper left corner.
class CudaLinear : public Linear {
 public:
  CudaLinear(const std::shared_ptr<Device>& device, const HostMatrix& weight, const float* bias, ComputeType type,
             HeadDims heads);

  size_t bytes() const override { return weight_.bytes() + (bias_ != nullptr ? bias_->bytes() : 0); }
  const WeightMatrix& weight() const { return weight_; }
  /// Inputs that the first `in` take with the zeros between heads.
  int inputs(int in) const { return spread(in, heads_.in); }
  const float* bias() const { return bias_ ? static_cast<const float*>(bias_->get()) : nullptr; }

 private:
  HeadDims heads_;
  WeightMatrix weight_;
  std::unique_ptr<DeviceMemory> bias_;
};

class CudaTable : public Table {
 public:
  CudaTable(const std::shared_ptr<Device>& device, const HostMatrix& entries, ComputeType type)
      : entries_(device, entries, type) {}

  size_t bytes() const override { return entries_.bytes(); }
  const WeightMatrix& entries() const { return entries_; }

 private:
  WeightMatrix entries_;
};

/// Keys, and values, [layers, branches, heads, S, head_stride(head_dim)].
class CudaKvCache : public KvCache {
 public:
  CudaKvCache(const std::shared_ptr<Device>& device, int layers, int branches, int heads, int head_dim, int positions);
  /// Of the keys, or of the values, of one layer.
  static size_t layer_bytes_of(int branches, int heads, int head_dim, int positions) {
    return static_cast<size_t>(branches) * heads * positions * head_stride(head_dim) * 2;
  }

  int heads() const { return heads_; }
  int positions() const { return positions_; }
  void* keys(int layer) const { return static_cast<char*>(keys_.get()) + layer * layer_bytes_; }
  void* values(int layer) const { return static_cast<char*>(values_.get()) + layer * layer_bytes_; }

 private:
  int heads_, positions_;
  size_t layer_bytes_;
  DeviceMemory keys_, values_;
};

inline const CudaBuffer& cuda(const Buffer& buffer) { return static_cast<const CudaBuffer&>(buffer); }
inline const CudaLinear& cuda(const Linear& layer) { return static_cast<const CudaLinear&>(layer); }
inline const CudaTable& cuda(const Table& table) { return static_cast<const CudaTable&>(table); }
inline const CudaKvCache& cuda(const KvCache& cache) { return static_cast<const CudaKvCache&>(cache); }

}  // namespace magnets::cuda
