// Choosing rows, embeddings, gathering and LayerNorm.
#include <algorithm>

#include "check.h"

using namespace magnets;
using namespace magnets::test;

namespace {

void selects_rows(Backend& backend) {
  constexpr int kSamples = 2, kTokens = 5;
  auto stream = backend.stream();
  const std::vector<uint8_t> states = {kKnown,  kMasked, kRevealed, kKnown,  kMasked,   // sample 0
                                       kMasked, kMasked, kMasked,   kMasked, kMasked};  // sample 1
  auto state = place(backend, *stream, ElementType::u8, kSamples, kTokens, states);
  const auto select = [&](int branches, bool refresh, bool head_all, int rows, int head) {
    auto row_buffer = place(backend, *stream, ElementType::i32, 1, 64, std::vector<int32_t>(64, -9));
    auto head_buffer = place(backend, *stream, ElementType::i32, 1, 64, std::vector<int32_t>(64, -9));
    Selection selection{{0}, {0}};
    for (int branch = 0; branch < branches; ++branch) {
      const auto own = states.begin() + branch % kSamples * kTokens;
      const int known = static_cast<int>(std::count(own, own + kTokens, uint8_t{kKnown}));
      const int masked = static_cast<int>(std::count(own, own + kTokens, uint8_t{kMasked}));
      const int active = refresh ? kTokens + 1 : kTokens - known;
      selection.row_start.push_back(selection.row_start.back() + active);
      selection.head_start.push_back(selection.head_start.back() + (head_all ? active : masked));
    }
    stream->select_rows(*state, kSamples, kTokens, refresh, head_all, selection, *row_buffer, *head_buffer);
    std::vector<int32_t> r(64), h(64);
    stream->download(*row_buffer, 1, 64, r.data());
    stream->download(*head_buffer, 1, 64, h.data());
    check(r[rows] == -9 && h[head] == -9, "select_rows: wrote too many");
    r.resize(rows);
    h.resize(head);
    return std::pair(r, h);
  };
  using Lists = std::pair<std::vector<int32_t>, std::vector<int32_t>>;
  check(select(2, false, false, 8, 7) == Lists({2, 3, 5, 7, 8, 9, 10, 11}, {0, 2, 3, 4, 5, 6, 7}), "cached rows");
  check(select(2, true, false, 12, 7) == Lists({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, {2, 5, 7, 8, 9, 10, 11}),
        "all rows");
  const auto [rows, head] = select(4, true, true, 24, 24);
  for (int i = 0; i < 24; ++i) check(rows[i] == i && head[i] == i, "all rows through the head");
  check(select(4, false, false, 16, 14).first[8] == 12 + 2, "the second half of a guided batch");
}

void embeds(const Subject& subject, Backend& backend, DType dtype) {
  constexpr int kVocabulary = 37, kWidth = 21, kTokens = 3, kPositions = 4;
  Random random(1);
  const auto words = random.matrix(kVocabulary, kWidth), places = random.matrix(kPositions, kWidth);
  auto stream = backend.stream();
  auto table = backend.linear({to_floats(words).data(), DType::f32, kVocabulary, kWidth}, nullptr, dtype);
  auto positions = place(backend, *stream, ElementType::f32, kPositions, kWidth, to_floats(places));
  auto ids = place(backend, *stream, ElementType::i32, 2, kTokens, std::vector<int32_t>{1, 36, 3, 15, 16, 31});
  auto classes = place(backend, *stream, ElementType::i32, 1, 4, std::vector<int32_t>{7, 8, 32, 32});
  const RowList list(backend, *stream, {{0, 2}, {1}, {0}, {0, 3}}, kPositions);
  const int expected_words[] = {7, 36, 15, 32, 32, 31}, expected_positions[] = {0, 2, 1, 0, 0, 3};
  for (const bool with_words : {true, false}) {
    Guarded x(backend, *stream, reference::Matrix(6, kWidth));
    stream->embed(with_words ? table.get() : nullptr, *positions, ids.get(), classes.get(), 2, list.rows(), nullptr,
                  kWidth, *x.buffer);
    const auto values = x.read(*stream, 6, kWidth, "embed");
    for (int row = 0; row < 6; ++row) {
      for (int i = 0; i < kWidth; ++i) {  // exact in f32: both terms have 8 bits
        const double word = with_words ? words.at(expected_words[row], i) : 0;
        const double sum = subject.rounded(word + places.at(expected_positions[row], i));
        check(values[row * x.columns + i] == sum, "embed");
      }
    }
  }
}

/// The norm after an embedding: of the sum before it is rounded, or after.
void embeds_with_norm(const Subject& subject, Backend& backend, int width) {
  constexpr int kVocabulary = 5, kPositions = 4;
  Random random(width);
  const auto words = random.matrix(kVocabulary, width), places = random.matrix(kPositions, width);
  std::vector<double> weight(width), bias(width);
  for (int i = 0; i < width; ++i) weight[i] = random.value(), bias[i] = random.value();
  auto stream = backend.stream();
  const Norm norm{place(backend, *stream, ElementType::f32, 1, width, std::vector<float>(weight.begin(), weight.end())),
                  place(backend, *stream, ElementType::f32, 1, width, std::vector<float>(bias.begin(), bias.end())),
                  1e-6f};
  auto table = backend.linear({to_floats(words).data(), DType::f32, kVocabulary, width}, nullptr, subject.dtypes()[0]);
  auto positions = place(backend, *stream, ElementType::f32, kPositions, width, to_floats(places));
  auto ids = place(backend, *stream, ElementType::i32, 1, kPositions, std::vector<int32_t>{4, 0, 3, 3});
  const int expected_words[] = {4, 0, 3, 3};
  const RowList list(backend, *stream, {{0, 1, 2, 3}}, kPositions);
  Guarded x(backend, *stream, reference::Matrix(kPositions, width));
  stream->embed(table.get(), *positions, ids.get(), nullptr, 1, list.rows(), &norm, width, *x.buffer);
  const auto values = x.read(*stream, kPositions, width, "embed with a norm");
  reference::Matrix sums(kPositions, width), expected(kPositions, width);
  for (int row = 0; row < kPositions; ++row) {
    for (int i = 0; i < width; ++i) sums.at(row, i) = words.at(expected_words[row], i) + places.at(row, i);
  }
  reference::layer_norm(sums, weight, bias, norm.epsilon, expected);
  for (int row = 0; row < kPositions; ++row) {
    for (int i = 0; i < width; ++i) {
      // Sums below 2 whose deviation is about 0.8, normalized below 2 / 0.5.
      const double bound = (width + 10) * kUnit * 2 / 0.5 + 2 * subject.roundoff(4);
      check_near(values[static_cast<size_t>(row) * x.columns + i], expected.at(row, i), bound, "embed with a norm");
    }
  }
}

void gathers(Backend& backend) {
  Random random(2);
  const auto x = random.matrix(40, 24);  // of which 19 columns are wanted
  auto stream = backend.stream();
  std::vector<int32_t> index(30);
  for (int32_t& row : index) row = random.below(40);
  Guarded input(backend, *stream, x), output(backend, *stream, reference::Matrix(30, 19));
  auto indices = place(backend, *stream, ElementType::i32, 1, 30, index);
  stream->gather(*input.buffer, *indices, 30, nullptr, 19, *output.buffer);
  const auto values = output.read(*stream, 30, 19, "gather");
  for (int row = 0; row < 30; ++row) {
    for (int i = 0; i < 19; ++i) check(values[row * output.columns + i] == x.at(index[row], i), "gather");
  }
}

void normalizes(const Subject& subject, Backend& backend, int rows, int width, double offset) {
  Random random(width);
  auto x = random.matrix(rows, width);
  for (double& value : x.values) value = subject.rounded(value + offset);
  std::vector<double> weight(width), bias(width);
  for (int i = 0; i < width; ++i) weight[i] = random.value(), bias[i] = random.value();
  auto stream = backend.stream();
  const Norm norm{place(backend, *stream, ElementType::f32, 1, width, std::vector<float>(weight.begin(), weight.end())),
                  place(backend, *stream, ElementType::f32, 1, width, std::vector<float>(bias.begin(), bias.end())),
                  1e-6f};
  Guarded input(backend, *stream, x), output(backend, *stream, reference::Matrix(rows, width));
  stream->layer_norm(*input.buffer, norm, rows, width, *output.buffer);
  stream->layer_norm(*input.buffer, norm, rows, width, *input.buffer);
  const auto values = output.read(*stream, rows, width, "layer_norm");
  std::vector<int32_t> turned(rows);
  for (int row = 0; row < rows; ++row) turned[row] = rows - 1 - row;
  auto index = place(backend, *stream, ElementType::i32, 1, rows, turned);
  Guarded original(backend, *stream, x), gathered(backend, *stream, reference::Matrix(rows, width));
  stream->gather(*original.buffer, *index, rows, &norm, width, *gathered.buffer);
  const auto from_gather = gathered.read(*stream, rows, width, "gather with a norm");
  for (int row = 0; row < rows; ++row) {
    const auto own = values.begin() + static_cast<long>(row) * output.columns;
    check(std::equal(own, own + width, from_gather.begin() + static_cast<long>(turned[row]) * output.columns),
          "gather with a norm is layer_norm");
  }
  check(values == input.read(*stream, rows, width, "layer_norm in place"), "layer_norm in place");
  reference::Matrix expected(rows, width);
  reference::layer_norm(x, weight, bias, norm.epsilon, expected);
  for (int row = 0; row < rows; ++row) {
    double mean = 0, variance = 0;
    for (int i = 0; i < width; ++i) mean += x.at(row, i) / width;
    for (int i = 0; i < width; ++i) variance += std::pow(x.at(row, i) - mean, 2) / width;
    const double deviation = std::sqrt(variance + norm.epsilon);
    for (int i = 0; i < width; ++i) {
      // The mean of n numbers errs by n units of their magnitude, divided by the deviation like everything else; the
      // variance by n + 2 units of itself, half of it after the root.
      const double z = std::abs(x.at(row, i) - mean) / deviation;
      const double bound =
          ((width + 2) * kUnit * (std::abs(offset) + 1) / deviation + (width + 8) * kUnit * z) * std::abs(weight[i]) +
          4 * kUnit + subject.roundoff(expected.at(row, i));
      check_near(values[static_cast<size_t>(row) * output.columns + i], expected.at(row, i), bound, "layer_norm");
    }
  }
}

}  // namespace

int main() {
  for (const auto& subject : subjects(Variety::types)) {
    auto backend = subject->open();
    selects_rows(*backend);
    for (const DType dtype : subject->dtypes()) embeds(*subject, *backend, dtype);
    for (const int width : {16, 33, 300}) embeds_with_norm(*subject, *backend, width);
    gathers(*backend);
    for (const int width : {1, 7, 16, 33, 100, 260}) normalizes(*subject, *backend, 19, width, 0);
    normalizes(*subject, *backend, 3, 64, 30);
  }
  return report("rows");
}
