// Prints how long the decoders of public tokenizers should take on an H100 for eight pictures of 256 x 256, by formula,
// for scripts/predict-times.js: the layers of each level, and all. Products by matmul/choose.cpp, or as long as memory
// needs for their rows; what else there is takes as long as memory needs. Nothing of it is measured.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>

#include "../../native/cuda/cuda_backend.h"
#include "../../native/cuda/matmul/choose.h"
#include "../../native/engine/codec/conv.h"
#include "../../native/engine/idle_stream.h"
#include "../../native/engine/measuring_backend.h"

using namespace magnets;
using namespace magnets::cuda;

namespace {

constexpr int kPictures = 8, kChannels = 3, kMultiprocessors = 132;
constexpr double kLaunch = 2.0, kBytes = 3.0e6;  // microseconds, and bytes a microsecond of an H100's memory

/// Microseconds of a level's products, of what is copied for them, and of everything else.
struct Level {
  double products = 0, copies = 0, others = 0, flops = 0;

  double all() const { return products + copies + others; }
  void operator+=(const Level& other) {
    products += other.products, copies += other.copies, others += other.others, flops += other.flops;
  }
};

using Levels = std::map<int, Level>;  // by the height of its pictures

double moved(double values) { return kLaunch + 2 * values / kBytes; }

double product_time(const MatmulProblem& m) {
  const auto shape = std::get<WgmmaChoice>(choose_matmul(m, 90, kMultiprocessors)).shape;  // more than 64 rows
  const double outputs = double{1} * m.rows * m.out * m.products;
  const double values = double{1} * m.x_rows * m.in + outputs * (reads_y(m) ? 2 : m.f32_out ? 2 : 1);
  return std::max(wgmma_time(kWgmmaShapes[shape], m, kMultiprocessors), moved(values));
}

/// Adds up instead of running.
class PredictingStream : public IdleStream {
 public:
  explicit PredictingStream(Levels& levels) : levels_(levels) {}

 protected:
  using IdleStream::do_run;  // no decoder has others
  void do_run(const Convolution& op) override {
    const KernelShape shape(op.resampling);
    const Grid places = shape.places(op.grid);
    const int rows = places.samples * (places.height + 1) * (places.width + 1);  // with borders
    const int products = shape.parities * shape.parities;
    MatmulProblem m = plain(rows, op.out, op.in);
    m.taps = shape.taps * shape.taps;
    m.epilogue = op.add ? Epilogue::add : Epilogue::store;
    m.f32_out = op.out == kChannels;
    Level& level = levels_[resampled(op.grid, op.resampling).height];
    level.copies += moved(double{1} * (op.grid.rows() + rows) * op.in);
    level.products += products * product_time(m);
    level.flops += flops_of(op);
  }
  void do_run(const Matmul& op) override {
    MatmulProblem m = plain(op.rows, op.out, op.in);
    if (op.residual != nullptr) m.epilogue = Epilogue::add;
    product(m, flops_of(op));
  }
  void do_run(const ProjectQkv& op) override {
    MatmulProblem m = plain(op.rows.count, op.heads * op.head_dim, op.in);
    m.products = 3;
    product(m, flops_of(op));
  }
  void do_run(const GroupStatistics& op) override {
    height_ = op.grid.height;
    other(double{1} * op.grid.rows() * op.channels);
    other(0);  // the parts of all
  }
  void do_run(const Rescale& op) override { other(2.0 * op.grid.rows() * op.channels); }
  void do_run(const Lookup& op) override { other(2.0 * op.rows * op.columns); }
  /// Of one head, by mma.sync: at a tenth of the rate of the tensor cores, which is an estimate.
  void do_run(const Attention& op) override {
    constexpr double kFlops = 1e8;  // a microsecond
    Level& level = levels_[height_];
    level.others += kLaunch + flops_of(op) / kFlops;
    level.flops += flops_of(op);
  }

 private:
  static MatmulProblem plain(int rows, int out, int in) {
    MatmulProblem m{};
    m.rows = m.x_rows = rows;
    m.out = out;
    m.in = in;
    m.products = 1;
    return m;
  }
  void product(const MatmulProblem& m, double flops) {
    levels_[height_].products += product_time(m);
    levels_[height_].flops += flops;
  }
  void other(double values) { levels_[height_].others += moved(values); }

  Levels& levels_;
  int height_ = 16;  // of the pictures under the last norm
};

class PredictingBackend : public MeasuringBackend {
 public:
  using MeasuringBackend::MeasuringBackend;
  Levels levels;

 private:
  std::unique_ptr<Stream> make_stream() override { return std::make_unique<PredictingStream>(levels); }
};

/// As in bench/decode.js.
ConvConfig maskgit() {
  return {.levels = {.height = 256,
                     .width = 256,
                     .channels = kChannels,
                     .base_channels = 128,
                     .multipliers = {1, 1, 2, 2, 4},
                     .attention = false,
                     .shortcut = Shortcut::none,
                     .norm_groups = 32,
                     .norm_eps = 1e-6f},
          .encoder_blocks = 2,
          .downsample = Downsample::mean,
          .encoder_output_kernel = 1,
          .quantizer = Quantizer::nearest,
          .codebook_size = 1024,
          .codebook_dim = 256,
          .decoder = {.blocks = 2, .code_channels = 256},
          .signed_pixels = false};
}

ConvConfig vq16() {
  ConvConfig config = maskgit();
  config.levels.attention = true;
  config.levels.shortcut = Shortcut::projection;
  config.quantizer = Quantizer::cosine;
  config.codebook_size = 16384;
  config.codebook_dim = 8;
  config.decoder.blocks = 3;
  return config;
}

const char* separator = "";

void print(const char* decoder, const std::string& shape, const Level& level) {
  std::printf("%s\n  {\"name\": \"%s\", \"shape\": \"%s\", \"flops\": %.0f, ", separator, decoder, shape.c_str(),
              level.flops);
  std::printf("\"productsMicroseconds\": %.3g, \"copiesMicroseconds\": %.3g, ", level.products, level.copies);
  std::printf("\"predictedMicroseconds\": %.3g}", level.all());
  separator = ",";
}

void predict(const char* name, const ConvConfig& config) {
  const std::shared_ptr<Backend> cuda = cuda::open(0, ComputeType::bf16);
  const auto backend = std::make_shared<PredictingBackend>(*cuda);
  ListingLoader listing;
  const Conv codec(backend, config, listing);
  const std::vector<int32_t> tokens(static_cast<size_t>(kPictures) * config.token_count());
  codec.detokenize(tokens, kPictures, nullptr);
  Level all;
  for (const auto& [height, level] : backend->levels) {
    print(name, std::to_string(height) + " x " + std::to_string(height), level);
    all += level;
  }
  print(name, "all levels", all);
}

}  // namespace

int main() {
  std::printf("[");
  predict("MaskGIT", maskgit());
  predict("VQ-16", vq16());
  std::printf("\n]\n");
}
