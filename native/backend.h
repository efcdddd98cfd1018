// The seam between the engine and a device: the few operations a device must offer.
//
// A Backend makes memory and streams. A Stream is the order in which one session's operations run; every
// operation adds the FLOPs it really did to the stream's counter. Shapes in comments are [rows, columns];
// a Buffer chooses its own row stride. The engine checks arguments once; a backend may assume them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace magnets {

/// Carries a stable code to the caller ("ERR_CHECKPOINT", "ERR_OUT_OF_MEMORY", ...).
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code(std::move(code)) {}
  const std::string code;
};

enum class DType { f32, f16, bf16 };

/// A weight as the checkpoint has it: row-major [rows, columns] in host memory.
struct HostMatrix {
  const void* data;
  DType dtype;
  int rows;
  int columns;
};

enum class ElementType { activation, f32, i32, u8 };

/// Device memory, [rows, columns] of one element type. `activation` is the type a backend computes in.
class Buffer {
 public:
  virtual ~Buffer() = default;
};

/// A resident linear layer y = x Wᵀ + b, W [out, in]. Any prefix of its outputs and inputs can be used without a copy.
class Linear {
 public:
  virtual ~Linear() = default;
};

/// Keys and values of every layer, head and position of a batch.
class KvCache {
 public:
  virtual ~KvCache() = default;
};

struct Norm {
  std::unique_ptr<Buffer> weight;  // f32 [1, d]
  std::unique_ptr<Buffer> bias;    // f32 [1, d]
  float epsilon;
};

enum class Part { projections, attention, mlp, head, codec };

/// FLOPs done, by part; a multiply-add counts 2.
struct Flops {
  std::array<uint64_t, 5> by_part{};
  void add(Part part, uint64_t flops) { by_part[static_cast<size_t>(part)] += flops; }
  Flops& operator+=(const Flops& other) {
    for (size_t part = 0; part < by_part.size(); ++part) by_part[part] += other.by_part[part];
    return *this;
  }
  Flops operator-(const Flops& before) const {
    Flops difference = *this;
    for (size_t part = 0; part < by_part.size(); ++part) difference.by_part[part] -= before.by_part[part];
    return difference;
  }
};

/// The rows of one step, branch-major, positions ascending. A branch is one sequence: samples first, then, with
/// guidance, the same samples without their class.
struct Rows {
  const Buffer& index;            // i32 [1, count]: branch * positions + position
  const std::vector<int>& start;  // [branches + 1] on the host: branch b owns rows start[b] .. start[b + 1]
  int positions;                  // S
  int count() const { return start.back(); }
  int branches() const { return static_cast<int>(start.size()) - 1; }
};

/// Which rows of a step there are, known on the host: branch b's are row_start[b] .. row_start[b + 1], and of them
/// head_start[b] .. head_start[b + 1] in the list of those that the head needs.
struct Selection {
  std::vector<int> row_start, head_start;
};

/// State of a token position.
enum State : uint8_t { kKnown = 0, kMasked = 1, kRevealed = 2 };  // revealed: known since the step before

enum class Epilogue { store, add, gelu, gelu_tanh };  // y = h; y += h; y = gelu(h), exact or tanh approximation

struct Sampling {
  int codebook_size;         // logits columns that may be sampled: the first C
  bool guided;               // rows of the second half are the unconditional branch
  float guidance;            // w in (1 + w) * cond - w * uncond
  float temperature;         // 0: the most likely token
  int top_k;                 // 0: all
  float choice_temperature;  // of the Gumbel noise on the confidence
  uint32_t step;
};

class Stream {
 public:
  virtual ~Stream() = default;
  Flops flops;

  /// Waits until everything asked of this stream is done. An operation may be under way after it was asked for: what it
  /// reads and writes must outlive it, so a stream goes before its buffers.
  virtual void synchronize() = 0;
  /// Runs `body`, which asks for operations of this stream alone, no upload and no download, and for the same ones
  /// whenever `key` is the same: a device may record them the first time and repeat them without asking.
  virtual void replay([[maybe_unused]] const std::string& key, const std::function<void()>& body) { body(); }
  /// Dense rows of host memory (activations as f32) to the first rows of a buffer, and back; done on return.
  virtual void upload(const void* source, int rows, int columns, Buffer& target) = 0;
  virtual void download(const Buffer& source, int rows, int columns, void* target) = 0;

  /// Lists the rows to compute and, as indices into them, the rows the head needs.
  /// rows: with `refresh` every position of every branch, else positions whose state is masked or revealed.
  /// head: with `head_all` every row, else the masked ones. Position 0 is the class token, token n is position n + 1.
  /// state: u8 [samples, tokens]; branch b reads sample b % samples; rows, head: i32 [1, *], as `selection` says.
  virtual void select_rows(const Buffer& state, int samples, int tokens, bool refresh, bool head_all,
                           const Selection& selection, Buffer& rows, Buffer& head) = 0;

  /// x[r] = words[id] + positions[position]. Position 0 takes class_ids[branch] (i32 [1, branches]) and position s
  /// takes ids[branch % samples, s - 1]; with class_ids null there is no class token and position s takes ids[branch,
  /// s]. With words null, x[r] = positions[position]. With a norm, LN of that.
  virtual void embed(const Linear* words, const Buffer& positions, const Buffer* ids, const Buffer* class_ids,
                     int samples, const Rows& rows, const Norm* norm, int width, Buffer& x) = 0;

  /// y[r] = LN(x[r]) for r < rows; y may be x.
  virtual void layer_norm(const Buffer& x, const Norm& norm, int rows, int width, Buffer& y) = 0;

  /// y[:rows, :out] = epilogue(x[:rows, :in] · W[:out, :in]ᵀ + b[:out]); y: activations, or f32.
  virtual void linear(const Linear& layer, int out, int in, const Buffer& x, int rows, Epilogue epilogue, Part part,
                      Buffer& y) = 0;

  /// q [count, heads * head_dim]; keys and values go straight into the cache of `layer` at the rows' positions.
  virtual void project_qkv(const Linear& query, const Linear& key, const Linear& value, int heads, int head_dim, int in,
                           const Buffer& x, const Rows& rows, int layer, Part part, KvCache& cache, Buffer& q) = 0;

  /// out[r] = softmax(q[r] · Kᵀ / sqrt(head_dim)) · V, head by head, over all S positions of the row's branch.
  virtual void attention(const Buffer& q, const Rows& rows, int layer, const KvCache& cache, int heads, int head_dim,
                         Part part, Buffer& out) = 0;

  /// y[i] = x[index[i]], or with a norm LN of that.
  virtual void gather(const Buffer& x, const Buffer& index, int count, const Norm* norm, int width, Buffer& y) = 0;

  /// For every head row whose position is masked: draws a token by Gumbel-max from
  /// softmax(top_k(guided logits) / temperature) and gives it the confidence
  /// log softmax(guided logits)[token] + choice_temperature * Gumbel (MaskGIT, parallel_decode).
  /// logits: f32 [head_count, >= C]; with guidance the second half of the rows mirrors the first.
  /// noise_keys: i32 [3, samples], a sample's number in the noise and its seed's low and high half. Noise: philox.h.
  /// tokens: i32, confidence: f32, both [samples, tokens]; entries that are not masked are left alone.
  virtual void sample(const Buffer& logits, const Rows& rows, const Buffer& head, int head_count, const Buffer& state,
                      const Buffer& noise_keys, int samples, int token_count, const Sampling& sampling, Buffer& tokens,
                      Buffer& confidence) = 0;

  /// Revealed becomes known. Of each sample's masked positions all but masked_after[sample] become revealed, highest
  /// confidence first (ties: lower position first), and take their token into ids.
  virtual void reveal(const Buffer& tokens, const Buffer& confidence, const std::vector<int>& masked_after,
                      int token_count, Buffer& ids, Buffer& state) = 0;

  /// index[0, r] = argmax over the first `columns` of x[r], f32 (ties: lowest).
  virtual void argmax(const Buffer& x, int rows, int columns, Buffer& index) = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;  // "cpu/avx512", "cuda:0"
  /// Streams run by themselves: they may be used side by side, each by one thread at a time.
  virtual bool concurrent() const = 0;
  /// Measures the rate of multiply-adds that the device reaches at its best, in FLOP/s.
  virtual double measure_peak() = 0;
  virtual std::unique_ptr<Stream> stream() = 0;
  virtual std::unique_ptr<Buffer> allocate(ElementType type, int rows, int columns) = 0;
  virtual std::unique_ptr<KvCache> kv_cache(int layers, int branches, int heads, int head_dim, int positions) = 0;
  /// bias: f32 [rows of weight], or null for none. `dtype` is the type the weight is kept in.
  virtual std::unique_ptr<Linear> linear(const HostMatrix& weight, const float* bias, DType dtype) = 0;
};

/// A new buffer that holds `values`, dense rows.
template <class T>
std::unique_ptr<Buffer> place(Backend& backend, Stream& stream, ElementType type, int rows, int columns,
                              const std::vector<T>& values) {
  auto buffer = backend.allocate(type, rows, columns);
  stream.upload(values.data(), rows, columns, *buffer);
  return buffer;
}

}  // namespace magnets
