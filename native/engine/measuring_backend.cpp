#include "measuring_backend.h"

#include "idle_stream.h"

namespace magnets {

namespace {

/// A part of the tally for as long as it lives.
template <class Base>
class Measured : public Base {
 public:
  Measured(Tally& tally, size_t bytes) : tally_(tally), bytes_(bytes) { tally_.take(bytes_); }
  ~Measured() override { tally_.give(bytes_); }

 private:
  Tally& tally_;
  size_t bytes_;
};

class MeasuringStream : public IdleStream {
 public:
  MeasuringStream(const Backend& backend, Tally& tally) : backend_(backend), tally_(tally) {}

 protected:
  using IdleStream::do_run;
  void do_run(const ProjectQkv& op) override {
    const size_t bytes = backend_.scratch_bytes(op.rows.count, op.in, op.heads * op.head_dim);
    tally_.scratch = std::max(tally_.scratch, bytes);
  }

 private:
  const Backend& backend_;
  Tally& tally_;
};

}  // namespace

std::unique_ptr<Buffer> MeasuringBackend::allocate(ElementType type, int rows, int columns) {
  return std::make_unique<Measured<Buffer>>(tally_, buffer_bytes(type, rows, columns, 0));
}

std::unique_ptr<Buffer> MeasuringBackend::allocate_heads(int rows, int heads, int head_dim) {
  const size_t bytes = buffer_bytes(ElementType::activation, rows, heads * head_dim, head_dim);
  return std::make_unique<Measured<Buffer>>(tally_, bytes);
}

std::unique_ptr<KvCache> MeasuringBackend::kv_cache(int layers, int branches, int heads, int head_dim, int positions) {
  return std::make_unique<Measured<KvCache>>(tally_, cache_bytes(layers, branches, heads, head_dim, positions));
}

std::unique_ptr<Linear> MeasuringBackend::linear(const HostMatrix&, const float*, WeightFormat, HeadDims) {
  throw Error("ERR_INTERNAL", "expected no weights where memory is measured");
}

std::unique_ptr<Table> MeasuringBackend::table(const HostMatrix&, WeightFormat) {
  throw Error("ERR_INTERNAL", "expected no weights where memory is measured");
}

std::unique_ptr<Stream> MeasuringBackend::make_stream() { return std::make_unique<MeasuringStream>(*this, tally_); }

}  // namespace magnets
