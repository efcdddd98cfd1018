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
  /// How many CPU threads compute; 1 where another device does.
  virtual int threads() const = 0;
  /// Streams run by themselves: they may be used side by side, each by one thread at a time.
  virtual bool concurrent() const = 0;
  /// Measures the rate of multiply-adds that the device reaches at its best, in FLOP/s.
  virtual double measure_peak() = 0;
  /// Times the matrix products that were asked for since the backend was opened, in every tile that may be chosen for
  /// them; none where nothing is chosen.
  virtual std::vector<TileTiming> time_tiles() { return {}; }
  /// A stream that stops with this backend, and when `own` says so; both outlive it.
  std::unique_ptr<Stream> stream(const StopFlag* own = nullptr) {
    auto made = make_stream();
    made->stop_when(&stop_, own);
    return made;
  }
  /// Stops everything that is computed or loaded, for good: operations that have begun end, and no others begin.
  /// Thread-safe.
  void stop() { stop_.stop(); }
  const StopFlag& stop_flag() const { return stop_; }

  /// Bytes of the device's own memory; 0 where it uses the host's.
  virtual uint64_t own_memory() const { return 0; }
  /// Returns freed memory to the system.
  virtual void trim() {}
  /// Bytes of a buffer, whose columns are attention heads where `head_dim` is not 0, and of a K/V cache.
  virtual size_t buffer_bytes(ElementType type, int rows, int columns, int head_dim = 0) const = 0;
  virtual size_t cache_bytes(int layers, int branches, int heads, int head_dim, int positions) const = 0;
  /// Bytes that a stream keeps beside its buffers to project `rows` rows of `in` columns to `inner` columns of queries,
  /// keys and values under a norm: no operation of a block keeps more.
  virtual size_t scratch_bytes(int rows, int in, int inner) const = 0;

  virtual std::unique_ptr<Buffer> allocate(ElementType type, int rows, int columns) = 0;
  /// Makes a buffer that was allocated rows of so many columns, of the same type and of any content. As it was
  /// allocated it had at least their buffer_bytes.
  virtual void reshape(Buffer& buffer, int rows, int columns) = 0;
  /// Activations [rows, heads * head_dim] that are attention heads: queries, and the output of attention. A device may
  /// leave room between heads, in these and in the layers that write and read them.
  virtual std::unique_ptr<Buffer> allocate_heads(int rows, int heads, int head_dim) {
    return allocate(ElementType::activation, rows, heads * head_dim);
  }
  virtual std::unique_ptr<KvCache> kv_cache(int layers, int branches, int heads, int head_dim, int positions) = 0;
  /// bias: f32 [rows of weight], or null for none. Throws ERR_CHECKPOINT where a weight is not finite, as it is or
  /// rounded to the format; ERR_UNSUPPORTED where the device does not have the format.
  virtual std::unique_ptr<Linear> linear(const HostMatrix& weight, const float* bias, WeightFormat format,
                                         HeadDims heads = {}) = 0;
  /// Throws like `linear`.
  virtual std::unique_ptr<Table> table(const HostMatrix& entries, WeightFormat format) = 0;

 private:
  virtual std::unique_ptr<Stream> make_stream() = 0;

  StopFlag stop_;
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
