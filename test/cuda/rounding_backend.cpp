#include "rounding_backend.h"

#include <set>
#include <vector>

#include "../../native/cpu/cpu_backend.h"
#include "../../native/cpu/cpu_stream.h"
#include "precision.h"

namespace magnets::test {

namespace {

constexpr WeightFormat kF32{WeightFormat::Values::f32};

/// The buffers that hold f32 and are not rounded, like logits.
using F32Buffers = std::set<const Buffer*>;

/// Lets the CPU run an operation, then rounds what it wrote.
class RoundingStream : public Stream {
 public:
  RoundingStream(Backend& cpu, ComputeType type, std::shared_ptr<const F32Buffers> f32)
      : backend_(cpu), cpu_(cpu.stream()), type_(type), f32_(std::move(f32)) {}

  void synchronize() override {}
  void upload(const void* source, int rows, int columns, Buffer& target) override {
    cpu_->upload(source, rows, columns, target);
  }
  void download(const Buffer& source, int rows, int columns, void* target) override {
    cpu_->download(source, rows, columns, target);
  }
  void put(std::initializer_list<Put> puts) override { cpu_->put(puts); }

 protected:
  void do_run(const Matmul& op) override {
    if (op.residual != nullptr && op.residual->norm != nullptr) {
      run(Normalize{.x = op.residual->x, .norm = *op.residual->norm, .rows = op.rows, .columns = op.out, .y = op.y});
    }
    const Input residual{op.y};
    const Normalized x(*this, op.x, op.rows, op.in);
    cpu_->run(Matmul{.layer = op.layer,
                     .out = op.out,
                     .in = op.in,
                     .x = x.input,
                     .rows = op.rows,
                     .activation = op.activation,
                     .residual = op.residual != nullptr ? &residual : nullptr,
                     .residual_scale = op.residual_scale,
                     .multiplies = op.multiplies,
                     .y = op.y});
    round(op.y, op.rows, op.out);
  }
  void do_run(const ProjectQkv& op) override {
    const Normalized x(*this, op.x, op.rows.count, op.in);
    cpu_->run(ProjectQkv{.query = op.query,
                         .key = op.key,
                         .value = op.value,
                         .heads = op.heads,
                         .head_dim = op.head_dim,
                         .in = op.in,
                         .x = x.input,
                         .rows = op.rows,
                         .layer = op.layer,
                         .cache = op.cache,
                         .qk_norm_epsilon = op.qk_norm_epsilon,
                         .q = op.q});
    round(op.q, op.rows.count, op.heads * op.head_dim);
    const auto& cache = cpu::cpu(op.cache);
    const int padded_dim = (op.head_dim + cpu::kPanel - 1) / cpu::kPanel * cpu::kPanel;
    const int padded_positions = (cache.positions() + cpu::kPanel - 1) / cpu::kPanel * cpu::kPanel;
    for (int branch = 0; branch < op.rows.branches; ++branch) {
      for (int head = 0; head < op.heads; ++head) {
        round(cache.keys(op.layer, branch, head), padded_positions * op.head_dim);
        round(cache.values(op.layer, branch, head), cache.positions() * padded_dim);
      }
    }
  }
  void do_run(const Attention& op) override {
    cpu_->run(op);
    round(op.out, op.rows.count, op.heads * op.head_dim);
  }
  Input do_run(const Normalize& op) override {
    const Input normalized = cpu_->run(op);
    round(op.y, op.rows, op.columns);
    return normalized;
  }
  void do_run(const ModulatedNorm& op) override {
    cpu_->run(op);
    round(op.y, op.rows.count, op.columns);
  }
  void do_run(const Gather& op) override {
    cpu_->run(op);
    round(op.y, op.count, op.columns);
  }
  void do_run(const Lookup& op) override {
    cpu_->run(op);
    round(op.y, op.rows, op.columns);
  }
  void do_run(const Embed& op) override {
    cpu_->run(op);
    round(op.x, op.rows.count, op.columns);
  }
  void do_run(const GroupStatistics& op) override { cpu_->run(op); }
  void do_run(const Rescale& op) override {
    cpu_->run(op);
    round(op.y, op.grid.rows(), op.channels);
  }
  void do_run(const Convolution& op) override {
    // What it reads is rounded once it is rescaled, before it is multiplied.
    std::unique_ptr<Buffer> rescaled;
    if (op.scale_shift != nullptr) {
      rescaled = backend_.allocate(ElementType::activation, op.grid.rows(), op.in);
      run(Rescale{
          .x = op.x, .scale_shift = *op.scale_shift, .grid = op.grid, .channels = op.in, .silu = true, .y = *rescaled});
    }
    cpu_->run(Convolution{.layer = op.layer,
                          .out = op.out,
                          .in = op.in,
                          .x = rescaled != nullptr ? *rescaled : op.x,
                          .grid = op.grid,
                          .resampling = op.resampling,
                          .add = op.add,
                          .y = op.y});
    round(op.y, resampled(op.grid, op.resampling).rows(), op.out);
  }
  void do_run(const MeanPool& op) override {
    cpu_->run(op);
    round(op.y, resampled(op.grid, Resampling::down).rows(), op.channels);
  }
  void do_run(const ArgMax& op) override { cpu_->run(op); }
  void do_run(const Softmax& op) override {
    cpu_->run(op);
    round(op.y, op.rows, op.columns);
  }
  void do_run(const SelectRows& op) override { cpu_->run(op); }
  void do_run(const Sample& op) override { cpu_->run(op); }
  void do_run(const Reveal& op) override { cpu_->run(op); }
  void do_run(const RevealGiven& op) override { cpu_->run(op); }

 private:
  /// The rows of an Input: where it has a norm, normalized and rounded before the operation reads them.
  struct Normalized {
    Normalized(RoundingStream& stream, const Input& from, int rows, int columns) : input(from) {
      if (from.norm == nullptr) return;
      rounded = stream.backend_.allocate(ElementType::activation, rows, columns);
      input = stream.run(Normalize{.x = from.x, .norm = *from.norm, .rows = rows, .columns = columns, .y = *rounded});
    }
    std::unique_ptr<Buffer> rounded;
    Input input;
  };

  void round(float* values, int count) const {
    for (int i = 0; i < count; ++i) values[i] = static_cast<float>(round_to(type_, values[i]));
  }
  void round(const Buffer& buffer, int rows, int columns) const {
    if (f32_->count(&buffer) > 0) return;
    for (int row = 0; row < rows; ++row) round(cpu::cpu(buffer).row<float>(row), columns);
  }

  Backend& backend_;
  std::unique_ptr<Stream> cpu_;
  ComputeType type_;
  std::shared_ptr<const F32Buffers> f32_;
};

class RoundingBackend : public Backend {
 public:
  explicit RoundingBackend(ComputeType type) : cpu_(cpu::open_cpu(1, "")), type_(type) {}
  std::string name() const override { return "cpu, rounding"; }
  int threads() const override { return 1; }
  bool concurrent() const override { return false; }
  double measure_peak() override { return cpu_->measure_peak(); }
  size_t buffer_bytes(ElementType type, int rows, int columns, int head_dim) const override {
    return cpu_->buffer_bytes(type, rows, columns, head_dim);
  }
  size_t cache_bytes(int layers, int branches, int heads, int head_dim, int positions) const override {
    return cpu_->cache_bytes(layers, branches, heads, head_dim, positions);
  }
  size_t scratch_bytes(int rows, int in, int inner) const override { return cpu_->scratch_bytes(rows, in, inner); }
  std::unique_ptr<Buffer> allocate(ElementType type, int rows, int columns) override {
    auto buffer = cpu_->allocate(type, rows, columns);
    f32_->erase(buffer.get());  // a buffer that is gone may have had this address
    if (type == ElementType::f32) f32_->insert(buffer.get());
    return buffer;
  }
  void reshape(Buffer& buffer, int rows, int columns) override { cpu_->reshape(buffer, rows, columns); }
  std::unique_ptr<KvCache> kv_cache(int layers, int branches, int heads, int head_dim, int positions) override {
    return cpu_->kv_cache(layers, branches, heads, head_dim, positions);
  }
  std::unique_ptr<Linear> linear(const HostMatrix& weight, const float* bias, WeightFormat, HeadDims) override {
    const std::vector<float> values = rounded(weight);
    return cpu_->linear({values.data(), DType::f32, weight.rows, weight.columns}, bias, kF32);
  }
  std::unique_ptr<Table> table(const HostMatrix& entries, WeightFormat) override {
    const std::vector<float> values = rounded(entries);
    return cpu_->table({values.data(), DType::f32, entries.rows, entries.columns}, kF32);
  }

 private:
  std::unique_ptr<Stream> make_stream() override { return std::make_unique<RoundingStream>(*cpu_, type_, f32_); }
  std::vector<float> rounded(const HostMatrix& matrix) const {
    std::vector<float> values;
    for (int row = 0; row < matrix.rows; ++row) {
      for (int column = 0; column < matrix.columns; ++column) {
        values.push_back(static_cast<float>(round_to(type_, element(matrix, row, column))));
      }
    }
    return values;
  }

  std::unique_ptr<Backend> cpu_;
  ComputeType type_;
  std::shared_ptr<F32Buffers> f32_ = std::make_shared<F32Buffers>();
};

}  // namespace

std::unique_ptr<Backend> open_rounding(ComputeType type) { return std::make_unique<RoundingBackend>(type); }

}  // namespace magnets::test
