// Convolutions and what goes with them against the reference: odd sizes, pictures a pixel wide, several samples, every
// resampling, with and without a norm before and a sum after, each format of weights, activations and f32 as output,
// guard values; and a picture's result independent of the batch and of threads.
#include "../../native/engine/weights/upsampling.h"
#include "check.h"

using namespace magnets;
using namespace magnets::test;

namespace {

struct Case {
  Grid grid;
  int out, in;
};

constexpr Case kCases[] = {
    {{1, 1, 1}, 33, 8},    {{2, 1, 5}, 32, 16},  {{2, 7, 1}, 3, 40},    {{1, 5, 3}, 40, 3},
    {{3, 4, 6}, 64, 24},   {{1, 9, 13}, 17, 56}, {{1, 10, 50}, 48, 24}, {{2, 25, 27}, 36, 8},
    {{1, 3, 100}, 64, 16}, {{1, 6, 34}, 3, 128}, {{1, 4, 6}, 128, 96},  {{2, 2, 2}, 72, 520},
};

/// Even sides, as `down` wants.
Grid even(const Grid& grid) { return {grid.samples, 2 * grid.height, 2 * grid.width}; }

const char* name_of(Resampling resampling) {
  return resampling == Resampling::up ? "up" : resampling == Resampling::down ? "down" : "none";
}

/// How far Rescale may be from the reference, before it is rounded to an activation: two roundings of a line, through
/// silu, whose slope is below 1.1 and whose exponential errs by 2e-7 and a few roundings (kernels.inl).
double rescale_bound(double x, double scale, double shift) {
  const double magnitude = std::abs(x * scale) + std::abs(shift);
  return (1.1 * 2 + 6) * kUnit * magnitude + 2e-7 * magnitude;
}

/// Numbers of a line for every channel: normalized, then moved, like those of GroupStatistics.
reference::Matrix random_lines(Random& random, int samples, int channels) {
  return random.matrix(samples, 2 * channels);
}

struct Kind {
  Resampling resampling;
  bool norm, add;
};
constexpr Kind kKinds[] = {{Resampling::none, false, false}, {Resampling::none, true, false},
                           {Resampling::none, true, true},   {Resampling::up, false, false},
                           {Resampling::up, true, true},     {Resampling::down, false, false},
                           {Resampling::down, true, true}};

/// [out, 9 * in], and as a layer of this resampling. Sums of four weights have to be exact in every format: these have
/// five bits.
struct RandomLayer {
  RandomLayer(Backend& backend, Random& random, const Case& c, Resampling resampling, WeightFormat format)
      : kernel(random.matrix(c.out, 9 * c.in)), bias(c.out) {
    for (double& value : kernel.values) value = std::floor(value * 16) / 16;
    for (double& value : bias) value = random.value();
    std::vector<float> weights = to_floats(kernel);
    if (resampling == Resampling::up) weights = upsampling_kernels(weights, c.out, c.in);
    const std::vector<float> biases(bias.begin(), bias.end());
    layer =
        backend.linear({weights.data(), DType::f32, c.out, layer_taps_of(resampling) * c.in}, biases.data(), format);
  }
  reference::Matrix kernel;
  std::vector<double> bias;
  std::unique_ptr<Linear> layer;
};

void compare(const Subject& subject, Backend& backend, const Case& c, const Kind& kind, WeightFormat format,
             ElementType type) {
  const Grid grid = kind.resampling == Resampling::down ? even(c.grid) : c.grid;
  const Grid target = resampled(grid, kind.resampling);
  const std::string what = subject.name() + ": Convolution " + name_of(kind.resampling) + " of " +
                           std::to_string(grid.samples) + " x " + std::to_string(grid.height) + " x " +
                           std::to_string(grid.width) + " x " + std::to_string(c.in) + " to " + std::to_string(c.out);
  Random random(grid.rows() + c.out + c.in);
  const RandomLayer layer(backend, random, c, kind.resampling, format);
  const auto x = random.matrix(grid.rows(), c.in), before = random.matrix(target.rows(), c.out);
  const auto lines = random_lines(random, grid.samples, c.in);

  auto stream = backend.stream();
  Guarded input(backend, *stream, x), output(backend, *stream, before, type);
  Guarded scale_shift(backend, *stream, lines, ElementType::f32);
  {
    const PartScope scope(*stream, Part::mlp);
    stream->run(Convolution{.layer = *layer.layer,
                            .out = c.out,
                            .in = c.in,
                            .x = *input.buffer,
                            .grid = grid,
                            .scale_shift = kind.norm ? scale_shift.buffer.get() : nullptr,
                            .resampling = kind.resampling,
                            .add = kind.add,
                            .y = *output.buffer});
  }
  const auto actual = output.read(*stream, target.rows(), c.out, what);
  Flops flops;
  flops[Part::mlp] = uint64_t{2} * target.rows() * (kind.resampling == Resampling::up ? 4 : 9) * c.out * c.in;
  check(stream->flops() == flops, what + ": FLOPs");

  // What the convolution reads, and by how much that may be off: as a second convolution, of magnitudes.
  auto read = x, magnitudes = x, errors = x;
  if (kind.norm) read = reference::rescale(x, lines, grid, true);
  for (int row = 0; row < x.rows; ++row) {
    const int sample = row / (grid.height * grid.width);
    for (int i = 0; i < c.in; ++i) {
      magnitudes.at(row, i) = std::abs(read.at(row, i));
      errors.at(row, i) = kind.norm ? rescale_bound(x.at(row, i), lines.at(sample, i), lines.at(sample, c.in + i)) +
                                          subject.roundoff(read.at(row, i))
                                    : 0;
    }
  }
  auto weights = layer.kernel;
  for (double& weight : weights.values) weight = std::abs(weight);
  auto biases = layer.bias;
  for (double& bias : biases) bias = std::abs(bias);
  const auto expected = reference::convolution(layer.kernel, layer.bias, read, grid, kind.resampling);
  const auto sums = reference::convolution(weights, biases, magnitudes, grid, kind.resampling);
  const auto bounds = reference::convolution(weights, std::vector<double>(c.out), errors, grid, kind.resampling);
  for (int row = 0; row < target.rows(); ++row) {
    for (int o = 0; o < c.out; ++o) {
      const double old = kind.add ? before.at(row, o) : 0;
      double bound = bounds.at(row, o) + (9 * c.in + 3) * kUnit * (sums.at(row, o) + std::abs(old));
      if (type == ElementType::activation) bound += subject.roundoff(std::abs(old + expected.at(row, o)) + bound);
      check_near(actual[static_cast<size_t>(row) * output.columns + o], old + expected.at(row, o), bound, what);
    }
  }
}

void statistics(const Subject& subject, Backend& backend, const Grid& grid, int channels, int groups, double offset) {
  Random random(grid.rows() + channels);
  auto x = random.matrix(grid.rows(), channels);
  for (double& value : x.values) value = subject.rounded(value + offset);
  auto stream = backend.stream();
  const RandomNorm norm(backend, *stream, random, channels);
  Guarded input(backend, *stream, x);
  Guarded output(backend, *stream, reference::Matrix(grid.samples, 2 * channels), ElementType::f32);
  stream->run(GroupStatistics{.x = *input.buffer,
                              .grid = grid,
                              .channels = channels,
                              .groups = groups,
                              .norm = norm.norm,
                              .scale_shift = *output.buffer});
  const auto actual = output.read(*stream, grid.samples, 2 * channels, "GroupStatistics");
  const auto expected = reference::group_statistics(x, grid, groups, norm.values);
  for (int sample = 0; sample < grid.samples; ++sample) {
    for (int i = 0; i < channels; ++i) {
      // Sums are of a few dozen numbers, then of such sums: the mean errs by about 80 units of the magnitude, which is
      // below |offset| + 1, and squares of distances about that mean by 80 units of themselves, or its error squared.
      const double scale = std::abs(expected.at(sample, i)), most = std::abs(offset) + 1;
      const double error = 80 * kUnit * scale + 80 * kUnit * most * kUnit * most * scale;
      check_near(actual[sample * output.columns + i], expected.at(sample, i), error, "GroupStatistics: scale");
      check_near(actual[sample * output.columns + channels + i], expected.at(sample, channels + i),
                 80 * kUnit * most * scale + error * most + 2 * kUnit * std::abs(norm.values.bias[i]),
                 "GroupStatistics: shift");
    }
  }
}

void rescales(const Subject& subject, Backend& backend, const Grid& grid, int channels, bool silu, bool in_place) {
  Random random(channels);
  const auto x = random.matrix(grid.rows(), channels), lines = random_lines(random, grid.samples, channels);
  auto stream = backend.stream();
  Guarded input(backend, *stream, x), output(backend, *stream, x);
  Guarded scale_shift(backend, *stream, lines, ElementType::f32);
  Guarded& target = in_place ? input : output;
  stream->run(Rescale{.x = *input.buffer,
                      .scale_shift = *scale_shift.buffer,
                      .grid = grid,
                      .channels = channels,
                      .silu = silu,
                      .y = *target.buffer});
  const auto actual = target.read(*stream, grid.rows(), channels, "Rescale");
  const auto expected = reference::rescale(x, lines, grid, silu);
  for (int row = 0; row < x.rows; ++row) {
    const int sample = row / (grid.height * grid.width);
    for (int i = 0; i < channels; ++i) {
      const double bound = rescale_bound(x.at(row, i), lines.at(sample, i), lines.at(sample, channels + i));
      check_near(actual[static_cast<size_t>(row) * target.columns + i], expected.at(row, i),
                 bound + subject.roundoff(std::abs(expected.at(row, i)) + bound), "Rescale");
    }
  }
}

void pools(const Subject& subject, Backend& backend, const Grid& grid, int channels) {
  Random random(channels);
  const auto x = random.matrix(grid.rows(), channels);
  const int rows = resampled(grid, Resampling::down).rows();
  auto stream = backend.stream();
  Guarded input(backend, *stream, x), output(backend, *stream, reference::Matrix(rows, channels));
  stream->run(MeanPool{.x = *input.buffer, .grid = grid, .channels = channels, .y = *output.buffer});
  const auto actual = output.read(*stream, rows, channels, "MeanPool");
  const auto expected = reference::mean_pool(x, grid);
  for (int row = 0; row < rows; ++row) {
    for (int i = 0; i < channels; ++i) {  // exact in f32: the sum of four numbers of 8 bits
      check(actual[static_cast<size_t>(row) * output.columns + i] == subject.rounded(expected.at(row, i)), "MeanPool");
    }
  }
}

/// The second of two pictures, alone and in the batch, by different numbers of threads.
void same_bits(const Subject& subject, Resampling resampling, int out) {
  constexpr Grid kGrid{2, 40, 90};
  constexpr int kIn = 40;
  Random random(5);
  const auto x = random.matrix(kGrid.rows(), kIn);
  const auto lines = random_lines(random, 1, kIn);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3}) {
    auto backend = subject.open(threads);
    auto stream = backend->stream();
    Random again(6);
    const RandomLayer layer(*backend, again, {kGrid, out, kIn}, resampling, subject.formats()[0]);
    auto scale_shift = backend->allocate(ElementType::f32, 2, 2 * kIn);
    std::vector<float> both = to_floats(lines);
    both.insert(both.end(), both.begin(), both.begin() + 2 * kIn);
    stream->upload(both.data(), 2, 2 * kIn, *scale_shift);
    for (const int samples : {1, 2}) {
      const Grid grid{samples, kGrid.height, kGrid.width};
      reference::Matrix part(grid.rows(), kIn);
      part.values.assign(x.values.end() - static_cast<long>(part.values.size()), x.values.end());
      Guarded input(*backend, *stream, part);
      const int rows = resampled(grid, resampling).rows();
      Guarded output(*backend, *stream, reference::Matrix(rows, out));
      stream->run(Convolution{.layer = *layer.layer,
                              .out = out,
                              .in = kIn,
                              .x = *input.buffer,
                              .grid = grid,
                              .scale_shift = scale_shift.get(),
                              .resampling = resampling,
                              .y = *output.buffer});
      const auto values = output.read(*stream, rows, out, "same bits");
      const auto end = values.begin() + static_cast<long>(rows) * output.columns;
      results.emplace_back(end - static_cast<long>(rows / samples) * output.columns, end);
    }
  }
  for (const auto& result : results) {
    check(result == results[0], subject.name() + ": a picture depends on batch or threads");
  }
}

}  // namespace

int main() {
  for (const auto& subject : subjects(Variety::devices)) {
    auto backend = subject->open();
    for (const Case& c : kCases) {
      if (subject->watched() && c.grid.rows() > 128) continue;
      for (const Kind& kind : kKinds) {
        if (subject->watched() && kind.norm != kind.add) continue;
        // Of large pictures, with many tiles, one kind for each resampling.
        const bool resamples = kind.resampling != Resampling::none;
        if (subject->slow() && c.grid.rows() > 128 && (kind.norm != resamples || kind.add != resamples)) continue;
        for (const WeightFormat format : subject->formats()) {
          compare(*subject, *backend, c, kind, format, ElementType::activation);
        }
        if (subject->slow() && !(kind.norm && kind.resampling == Resampling::none)) continue;
        compare(*subject, *backend, c, kind, subject->formats()[0], ElementType::f32);
      }
    }
    for (const double offset : {0.0, 100.0}) {
      statistics(*subject, *backend, {1, 1, 1}, 8, 4, offset);
      statistics(*subject, *backend, {2, 5, 13}, 40, 8, offset);
      statistics(*subject, *backend, {3, 31, 17}, 96, 32, offset);
      statistics(*subject, *backend, {1, 40, 60}, 33, 3, offset);
    }
    for (const bool silu : {false, true}) {
      for (const bool in_place : {false, true}) {
        rescales(*subject, *backend, {2, 5, 7}, 40, silu, in_place);
        rescales(*subject, *backend, {3, 1, 9}, 13, silu, in_place);
      }
    }
    pools(*subject, *backend, {2, 6, 10}, 40);
    pools(*subject, *backend, {1, 2, 2}, 13);
    if (subject->same_bits()) {
      for (const Resampling resampling : {Resampling::none, Resampling::up, Resampling::down}) {
        for (const int out : {3, 48}) same_bits(*subject, resampling, out);
      }
    }
  }
  return report("convolution");
}
