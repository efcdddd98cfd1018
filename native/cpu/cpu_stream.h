// The operations of backend.h on the CPU. Each is implemented in a file of its own.
#pragma once

#include <memory>
#include <vector>

#include "../backend.h"
#include "kernels.h"
#include "memory.h"
#include "packed_linear.h"
#include "thread_pool.h"

namespace magnets::cpu {

/// Rows of one element type. Activations are f32, their rows padded so that rows of a power of two do not all fall
/// into the same cache sets.
class CpuBuffer : public Buffer {
 public:
  CpuBuffer(ElementType type, int rows, int columns);

  size_t stride() const { return stride_; }  // elements
  size_t element_size() const { return element_size_; }
  char* bytes() const { return bytes_.get(); }
  template <class T>
  T* row(int index) const {
    return reinterpret_cast<T*>(bytes_.get()) + index * stride_;
  }

 private:
  size_t element_size_;
  size_t stride_;
  AlignedArray<char> bytes_;
};

/// Keys and values as the micro-kernels' right-hand sides, per layer, branch and head: keys [S / 32][head_dim][32],
/// values [head_dim / 32][S][32].
class CpuKvCache : public KvCache {
 public:
  CpuKvCache(int layers, int branches, int heads, int head_dim, int positions);

  int positions() const { return positions_; }
  size_t value_panel() const { return static_cast<size_t>(positions_) * kPanel; }  // floats
  float* keys(int layer, int branch, int head) const { return keys_.get() + index(layer, branch, head) * key_size_; }
  float* values(int layer, int branch, int head) const {
    return values_.get() + index(layer, branch, head) * value_size_;
  }

 private:
  size_t index(int layer, int branch, int head) const {
    return (static_cast<size_t>(layer) * branches_ + branch) * heads_ + head;
  }
  int branches_, heads_, positions_;
  size_t key_size_, value_size_;  // floats of one head
  AlignedArray<float> keys_, values_;
};

/// y[:rows, :out] = epilogue(x[:rows, :in] · Wᵀ + b) for several layers that share x.
struct MatrixProduct {
  const PackedLinear* layer;
  float* y;
  size_t stride;
};
void multiply(const Kernels& kernels, ThreadPool& pool, const std::vector<MatrixProduct>& products, int out, int in,
              const float* x, size_t x_stride, int rows, Epilogue epilogue);

class CpuStream : public Stream {
 public:
  CpuStream(const Kernels& kernels, std::shared_ptr<ThreadPool> pool) : kernels_(kernels), pool_(std::move(pool)) {}

  void synchronize() override {}
  void upload(const void* source, int rows, int columns, Buffer& target) override;
  void download(const Buffer& source, int rows, int columns, void* target) override;
  void select_rows(const Buffer& state, int samples, int tokens, bool refresh, bool head_all,
                   const Selection& selection, Buffer& rows, Buffer& head) override;
  void embed(const Linear* words, const Buffer& positions, const Buffer* ids, const Buffer* class_ids, int samples,
             const Rows& rows, const Norm* norm, int width, Buffer& x) override;
  void layer_norm(const Buffer& x, const Norm& norm, int rows, int width, Buffer& y) override;
  void linear(const Linear& layer, int out, int in, const Buffer& x, int rows, Epilogue epilogue, Part part,
              Buffer& y) override;
  void project_qkv(const Linear& query, const Linear& key, const Linear& value, int heads, int head_dim, int in,
                   const Buffer& x, const Rows& rows, int layer, Part part, KvCache& cache, Buffer& q) override;
  void attention(const Buffer& q, const Rows& rows, int layer, const KvCache& cache, int heads, int head_dim, Part part,
                 Buffer& out) override;
  void gather(const Buffer& x, const Buffer& index, int count, const Norm* norm, int width, Buffer& y) override;
  void sample(const Buffer& logits, const Rows& rows, const Buffer& head, int head_count, const Buffer& state,
              const Buffer& noise_keys, int samples, int token_count, const Sampling& sampling, Buffer& tokens,
              Buffer& confidence) override;
  void reveal(const Buffer& tokens, const Buffer& confidence, const std::vector<int>& masked_after, int token_count,
              Buffer& ids, Buffer& state) override;
  void argmax(const Buffer& x, int rows, int columns, Buffer& index) override;

 private:
  /// body(first, last) over rows [0, count), in parts large enough to be worth a thread.
  template <class Body>
  void over_rows(int count, const Body& body) {
    constexpr int kRowsAtOnce = 16;
    pool_->run((count + kRowsAtOnce - 1) / kRowsAtOnce, [&](int task, int) {
      const int first = task * kRowsAtOnce;
      body(first, first + kRowsAtOnce < count ? first + kRowsAtOnce : count);
    });
  }

  void normalize(const float* x, const Norm& norm, int width, float* y) const;  // one row

  const Kernels& kernels_;
  std::shared_ptr<ThreadPool> pool_;
  std::unique_ptr<CpuBuffer> keys_, values_;  // project_qkv's, before they go into the cache
  int projected_rows_ = 0, projected_columns_ = 0;
  AlignedArray<float> scores_;  // attention's, of every thread
  size_t scores_size_ = 0;
};

inline const CpuBuffer& cpu(const Buffer& buffer) { return static_cast<const CpuBuffer&>(buffer); }
inline const PackedLinear& cpu(const Linear& layer) { return static_cast<const PackedLinear&>(layer); }
inline const CpuKvCache& cpu(const KvCache& cache) { return static_cast<const CpuKvCache&>(cache); }

}  // namespace magnets::cpu
