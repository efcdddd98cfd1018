// What a device offers: memory, weights that stay on it, and streams that run operations.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "stream.h"
#include "tiles.h"

namespace magnets {

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;  // "cpu/avx512", "cuda:0"
  /// Threads of the CPU that compute; 1 where another device does.
  virtual int threads() const = 0;
  /// Streams run by themselves: they may be used side by side, each by one thread at a time.
  virtual bool concurrent() const = 0;
  /// Measures the rate of multiply-adds that the device reaches at its best, in FLOP/s.
  virtual double measure_peak() = 0;
  /// Times the matrix products that were asked for since the backend was opened, in every tile that may be chosen for
  /// them; none where nothing is chosen.
  virtual std::vector<TileTiming> time_tiles() { return {}; }
  virtual std::unique_ptr<Stream> stream() = 0;
  virtual std::unique_ptr<Buffer> allocate(ElementType type, int rows, int columns) = 0;
  /// Activations [rows, heads * head_dim] that are attention heads: queries, and what attention mixes. A device may
  /// leave room between heads, there and in the layers that make and read them.
  virtual std::unique_ptr<Buffer> allocate_heads(int rows, int heads, int head_dim) {
    return allocate(ElementType::activation, rows, heads * head_dim);
  }
  virtual std::unique_ptr<KvCache> kv_cache(int layers, int branches, int heads, int head_dim, int positions) = 0;
  /// bias: f32 [rows of weight], or null for none. Throws ERR_CHECKPOINT where a weight is not finite or, rounded to
  /// the format, is not; ERR_UNSUPPORTED where the device does not keep weights so.
  virtual std::unique_ptr<Linear> linear(const HostMatrix& weight, const float* bias, WeightFormat format,
                                         HeadDims heads = {}) = 0;
  /// Throws like `linear`.
  virtual std::unique_ptr<Table> table(const HostMatrix& entries, WeightFormat format) = 0;
};

/// A buffer that holds `values`, dense rows.
template <class T>
std::unique_ptr<Buffer> upload_new(Backend& backend, Stream& stream, ElementType type, int rows, int columns,
                                   const std::vector<T>& values) {
  auto buffer = backend.allocate(type, rows, columns);
  stream.upload(values.data(), rows, columns, *buffer);
  return buffer;
}

}  // namespace magnets
