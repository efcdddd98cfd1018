#include "rounding_backend.h"

#include <vector>

#include "../../native/cpu/cpu_backend.h"
#include "../../native/cpu/cpu_stream.h"
#include "types.h"

namespace magnets::test {

namespace {

class RoundingStream : public Stream {
 public:
  RoundingStream(Backend& cpu, DType dtype) : cpu_(cpu.stream()), dtype_(dtype) {}

  void synchronize() override {}
  void upload(const void* source, int rows, int columns, Buffer& target) override {
    cpu_->upload(source, rows, columns, target);
  }
  void download(const Buffer& source, int rows, int columns, void* target) override {
    cpu_->download(source, rows, columns, target);
  }
  void select_rows(const Buffer& state, int samples, int tokens, bool refresh, bool head_all,
                   const Selection& selection, Buffer& rows, Buffer& head) override {
    cpu_->select_rows(state, samples, tokens, refresh, head_all, selection, rows, head);
  }
  void embed(const Linear* words, const Buffer& positions, const Buffer* ids, const Buffer* class_ids, int samples,
             const Rows& rows, const Norm* norm, int width, Buffer& x) override {
    cpu_->embed(words, positions, ids, class_ids, samples, rows, norm, width, x);
    round(x, rows.count(), width);
  }
  void layer_norm(const Buffer& x, const Norm& norm, int rows, int width, Buffer& y) override {
    cpu_->layer_norm(x, norm, rows, width, y);
    round(y, rows, width);
  }
  void linear(const Linear& layer, int out, int in, const Buffer& x, int rows, Epilogue epilogue, Part part,
              Buffer& y) override {
    cpu_->linear(layer, out, in, x, rows, epilogue, part, y);
    if (part != Part::head || epilogue != Epilogue::store) round(y, rows, out);  // logits stay f32
  }
  void project_qkv(const Linear& query, const Linear& key, const Linear& value, int heads, int head_dim, int in,
                   const Buffer& x, const Rows& rows, int layer, Part part, KvCache& cache, Buffer& q) override {
    cpu_->project_qkv(query, key, value, heads, head_dim, in, x, rows, layer, part, cache, q);
    round(q, rows.count(), heads * head_dim);
    const auto& store = cpu::cpu(cache);
    const int padded = (head_dim + kPanel - 1) / kPanel * kPanel;
    const int panels = (store.positions() + kPanel - 1) / kPanel * kPanel;
    for (int branch = 0; branch < rows.branches(); ++branch) {
      for (int head = 0; head < heads; ++head) {
        round(store.keys(layer, branch, head), panels * head_dim);
        round(store.values(layer, branch, head), store.positions() * padded);
      }
    }
  }
  void attention(const Buffer& q, const Rows& rows, int layer, const KvCache& cache, int heads, int head_dim, Part part,
                 Buffer& out) override {
    cpu_->attention(q, rows, layer, cache, heads, head_dim, part, out);
    round(out, rows.count(), heads * head_dim);
  }
  void gather(const Buffer& x, const Buffer& index, int count, const Norm* norm, int width, Buffer& y) override {
    cpu_->gather(x, index, count, norm, width, y);
    round(y, count, width);
  }
  void sample(const Buffer& logits, const Rows& rows, const Buffer& head, int head_count, const Buffer& state,
              const Buffer& noise_keys, int samples, int token_count, const Sampling& sampling, Buffer& tokens,
              Buffer& confidence) override {
    cpu_->sample(logits, rows, head, head_count, state, noise_keys, samples, token_count, sampling, tokens, confidence);
  }
  void reveal(const Buffer& tokens, const Buffer& confidence, const std::vector<int>& masked_after, int token_count,
              Buffer& ids, Buffer& state) override {
    cpu_->reveal(tokens, confidence, masked_after, token_count, ids, state);
  }
  void argmax(const Buffer& x, int rows, int columns, Buffer& index) override { cpu_->argmax(x, rows, columns, index); }

 private:
  static constexpr int kPanel = 32;

  void round(float* values, int count) const {
    for (int i = 0; i < count; ++i) values[i] = static_cast<float>(round_to(dtype_, values[i]));
  }
  void round(const Buffer& buffer, int rows, int columns) const {
    for (int row = 0; row < rows; ++row) round(cpu::cpu(buffer).row<float>(row), columns);
  }

  std::unique_ptr<Stream> cpu_;
  DType dtype_;
};

class RoundingBackend : public Backend {
 public:
  explicit RoundingBackend(DType dtype) : cpu_(cpu::open_cpu(1, "")), dtype_(dtype) {}
  std::string name() const override { return "cpu, rounding"; }
  bool concurrent() const override { return false; }
  double measure_peak() override { return cpu_->measure_peak(); }
  std::unique_ptr<Stream> stream() override { return std::make_unique<RoundingStream>(*cpu_, dtype_); }
  std::unique_ptr<Buffer> allocate(ElementType type, int rows, int columns) override {
    return cpu_->allocate(type, rows, columns);
  }
  std::unique_ptr<KvCache> kv_cache(int layers, int branches, int heads, int head_dim, int positions) override {
    return cpu_->kv_cache(layers, branches, heads, head_dim, positions);
  }
  std::unique_ptr<Linear> linear(const HostMatrix& weight, const float* bias, DType) override {
    std::vector<float> values(static_cast<size_t>(weight.rows) * weight.columns);
    for (size_t i = 0; i < values.size(); ++i) {
      const int row = static_cast<int>(i) / weight.columns, column = static_cast<int>(i) % weight.columns;
      values[i] = static_cast<float>(round_to(dtype_, element(weight, row, column)));
    }
    return cpu_->linear({values.data(), DType::f32, weight.rows, weight.columns}, bias, DType::f32);
  }

 private:
  std::unique_ptr<Backend> cpu_;
  DType dtype_;
};

}  // namespace

std::unique_ptr<Backend> open_rounding(DType dtype) { return std::make_unique<RoundingBackend>(dtype); }

}  // namespace magnets::test
