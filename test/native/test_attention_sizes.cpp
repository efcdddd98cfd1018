// Attention over heads of 64, against the reference, where numbers of queries and keys lie around the tiles of kernels:
// nested widths, sequences with unlike numbers of rows and with none, scores that are close and scores so far apart
// that their powers overflow without a maximum. What the width does not use of the cache is NaN.
#include <functional>

#include "check.h"

using namespace magnets;
using namespace magnets::test;

namespace {

constexpr int kHeadDim = 64, kIn = 16, kFullHeads = 3;

/// Outputs are inputs with either sign, so that rounding leaves them alone.
reference::Matrix signed_choice(Random& random, int out) {
  reference::Matrix weight(out, kIn);
  for (int o = 0; o < out; ++o) weight.at(o, random.below(kIn)) = random.below(2) * 2 - 1;
  return weight;
}

void compare(const Subject& subject, Backend& backend, int heads, const std::vector<int>& queries, int positions) {
  const int inner = heads * kHeadDim, branches = static_cast<int>(queries.size());
  const std::string what = subject.name() + ", " + std::to_string(queries[0]) + " queries, " +
                           std::to_string(positions) + " keys, " + std::to_string(heads) + " heads";
  Random random(positions * 1000 + queries[0]);
  auto stream = backend.stream();
  const reference::Matrix weights[] = {signed_choice(random, kFullHeads * kHeadDim),
                                       signed_choice(random, kFullHeads * kHeadDim)};
  std::unique_ptr<Linear> layers[2];
  for (int i = 0; i < 2; ++i) {
    layers[i] = backend.linear({to_floats(weights[i]).data(), DType::f32, kFullHeads * kHeadDim, kIn}, nullptr,
                               subject.formats()[0]);
  }
  auto cache = backend.kv_cache(1, branches, kFullHeads, kHeadDim, positions);

  std::vector<std::vector<int>> all(branches), some(branches);
  for (int branch = 0; branch < branches; ++branch) {
    for (int position = 0; position < positions; ++position) all[branch].push_back(position);
    for (int i = 0; i < queries[branch]; ++i) some[branch].push_back(i % positions);
  }
  const RowList cached(backend, *stream, all, positions), list(backend, *stream, some, positions);
  const reference::Matrix x = random.matrix(branches * positions, kIn);
  reference::Matrix nothing(x.rows, kIn);
  nothing.values.assign(nothing.values.size(), NAN);
  const auto scratch = backend.allocate(ElementType::activation, x.rows, kFullHeads * kHeadDim);
  for (const auto& [input, width] : {std::pair(std::cref(nothing), kFullHeads), std::pair(std::cref(x), heads)}) {
    const Guarded buffer(backend, *stream, input);
    stream->run(ProjectQkv{.query = *layers[0],
                           .key = *layers[0],
                           .value = *layers[1],
                           .heads = width,
                           .head_dim = kHeadDim,
                           .in = kIn,
                           .x = {*buffer.buffer},
                           .rows = cached.rows(),
                           .layer = 0,
                           .cache = *cache,
                           .q = *scratch});
    stream->synchronize();
  }

  const Rows rows = list.rows();
  auto q = random.matrix(rows.count, inner);
  const auto factor = [](int row) { return row % 2 == 0 ? 1.0 : 256.0; };
  for (int row = 0; row < q.rows; ++row) {
    for (int i = 0; i < inner; ++i) q.at(row, i) *= factor(row);
  }
  Guarded query(backend, *stream, q), out(backend, *stream, reference::Matrix(q.rows, inner));
  stream->run(Attention{.q = *query.buffer,
                        .rows = rows,
                        .layer = 0,
                        .cache = *cache,
                        .heads = heads,
                        .head_dim = kHeadDim,
                        .out = *out.buffer});
  const auto actual = out.read(*stream, q.rows, inner, what);

  const std::vector<double> no_bias(kFullHeads * kHeadDim);
  for (int branch = 0; branch < branches; ++branch) {
    reference::Matrix own(positions, kIn), keys(positions, inner), values(positions, inner);
    std::copy_n(x.values.begin() + static_cast<long>(branch) * positions * kIn, own.values.size(), own.values.begin());
    reference::matmul(weights[0], no_bias, inner, kIn, own, Activation::none, nullptr, keys);
    reference::matmul(weights[1], no_bias, inner, kIn, own, Activation::none, nullptr, values);
    const int first = list.start[branch], count = list.start[branch + 1] - first;
    reference::Matrix queries(count, inner), expected(count, inner);
    std::copy_n(q.values.begin() + static_cast<long>(first) * inner, queries.values.size(), queries.values.begin());
    reference::attention(queries, keys, values, heads, expected);
    for (int row = 0; row < count; ++row) {
      const double bound = attention_bound(subject, kHeadDim, positions, factor(first + row), 1, 1);
      for (int i = 0; i < inner; ++i) {
        check_near(actual[static_cast<size_t>(first + row) * out.columns + i], expected.at(row, i), bound, what);
      }
    }
  }
}

}  // namespace

int main() {
  const int all_queries[] = {1, 63, 64, 65, 257}, all_keys[] = {1, 16, 255, 256, 257, 272, 273, 1025};
  for (const auto& subject : subjects(Variety::devices)) {
    auto backend = subject->open();
    int turn = 0;
    for (const int keys : all_keys) {
      // Emulated, every number meets others, but not all of them; watched, it is enough that each meets one.
      const bool skips = subject->watched() && (keys == 1 || keys == 255 || keys == 256 || keys == 272);
      for (const int queries : all_queries) {
        ++turn;
        const bool picked = turn % 5 == 0 || (turn % 5 == 3 && !subject->watched());
        if (subject->slow() && (skips || !picked)) continue;
        compare(*subject, *backend, 1 + turn % kFullHeads, {queries, 0, (queries + 1) / 2}, keys);
      }
      turn += 3;
    }
  }
  return report("attention_sizes");
}
