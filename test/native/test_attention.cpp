// Projection into the cache and attention from it, against the reference: few and all rows, every width, head
// dimensions from 8 to 128, keys and values of other rows left from a pass before.
#include <algorithm>

#include "check.h"

using namespace magnets;
using namespace magnets::test;

namespace {

constexpr int kLayers = 2, kBranches = 2, kIn = 40;

void compare(const Subject& subject, Backend& backend, int full_heads, int heads, int head_dim, int positions,
             int active, const std::string& what) {
  const int full = full_heads * head_dim;
  const int inner = heads * head_dim;
  Random random(positions + head_dim);
  const reference::Matrix weights[3] = {random.matrix(full, kIn), random.matrix(full, kIn), random.matrix(full, kIn)};
  const std::vector<double> bias(full, 0.25);
  const std::vector<float> biases(full, 0.25f);
  const DType dtype = subject.dtypes()[0];
  auto stream = backend.stream();
  std::unique_ptr<Linear> layers[3];
  for (int i = 0; i < 3; ++i) {
    layers[i] = backend.linear({to_floats(weights[i]).data(), DType::f32, full, kIn}, biases.data(), dtype);
  }
  auto cache = backend.kv_cache(kLayers, kBranches, full_heads, head_dim, positions);

  // First every position of both branches, then `active` of each with other values: the rest stays in the cache.
  std::vector<std::vector<int>> all(kBranches), some(kBranches);
  for (int branch = 0; branch < kBranches; ++branch) {
    for (int position = 0; position < positions; ++position) all[branch].push_back(position);
    for (int i = 0; i < active; ++i) some[branch].push_back((branch + i * positions / active) % positions);
    std::sort(some[branch].begin(), some[branch].end());
  }
  reference::Matrix keys[kBranches] = {{positions, inner}, {positions, inner}};
  reference::Matrix values[kBranches] = {{positions, inner}, {positions, inner}};

  for (const auto& pass : {all, some}) {
    const RowList list(backend, *stream, pass, positions);
    const Rows rows = list.rows();
    const auto x = random.matrix(rows.count(), kIn);
    reference::Matrix projected[3] = {{x.rows, inner}, {x.rows, inner}, {x.rows, inner}};
    // Sums of kIn products of 14 bits are exact in f32, so a projection is rounded just once.
    for (int i = 0; i < 3; ++i) {
      reference::linear(weights[i], bias, inner, kIn, x, Epilogue::store, projected[i]);
      for (double& value : projected[i].values) value = subject.rounded(value);
    }
    for (int branch = 0, row = 0; branch < kBranches; ++branch) {
      for (const int position : pass[branch]) {
        for (int i = 0; i < inner; ++i) {
          keys[branch].at(position, i) = projected[1].at(row, i);
          values[branch].at(position, i) = projected[2].at(row, i);
        }
        ++row;
      }
    }

    Guarded input(backend, *stream, x);
    Guarded q(backend, *stream, reference::Matrix(x.rows, inner)),
        out(backend, *stream, reference::Matrix(x.rows, inner));
    const Flops before = stream->flops;
    for (int layer = 0; layer < kLayers; ++layer) {  // the same in both: neither may disturb the other
      stream->project_qkv(*layers[0], *layers[1], *layers[2], heads, head_dim, kIn, *input.buffer, rows, layer,
                          Part::projections, *cache, *q.buffer);
    }
    stream->attention(*q.buffer, rows, 1, *cache, heads, head_dim, Part::attention, *out.buffer);
    q.read(*stream, x.rows, inner, what + ": q");
    const auto actual = out.read(*stream, x.rows, inner, what);
    const Flops done = stream->flops - before;
    const auto count = static_cast<uint64_t>(x.rows);
    check(done.by_part[0] == kLayers * 6 * count * inner * kIn, what + ": FLOPs of the projections");
    check(done.by_part[1] == 4 * count * inner * positions, what + ": FLOPs of attention");

    for (int branch = 0; branch < kBranches; ++branch) {
      const int first = rows.start[branch], last = rows.start[branch + 1];
      reference::Matrix queries(last - first, inner), expected(last - first, inner);
      for (int row = first; row < last; ++row) {
        for (int i = 0; i < inner; ++i) queries.at(row - first, i) = projected[0].at(row, i);
      }
      reference::attention(queries, keys[branch], values[branch], heads, expected);
      // A score adds head_dim products in f32, scaled; softmax turns its absolute error into a relative one of the
      // power, which has a few units of its own; the mix adds as many products as there are positions, and is bounded
      // by the largest value. The power, as the mix's factor, and the mix are rounded to activations.
      double most = 0;
      for (const reference::Matrix* m : {&queries, &keys[branch], &values[branch]}) {
        for (const double value : m->values) most = std::max(most, std::abs(value));
      }
      const double score_error = (head_dim + 2) * kUnit * most * most * std::sqrt(head_dim);
      const double bound = (2 * score_error + (positions + 16) * kUnit) * most + 2 * subject.roundoff(most) +
                           positions * subject.tiny() * most;
      for (int row = first; row < last; ++row) {
        for (int i = 0; i < inner; ++i) {
          check_near(actual[static_cast<size_t>(row) * out.columns + i], expected.at(row - first, i), bound, what);
        }
      }
    }
  }
}

}  // namespace

int main() {
  for (const auto& subject : subjects(Variety::types)) {
    const bool slow = subject->slow();
    auto backend = subject->open();
    for (const int head_dim : {8, 16, 24, 32, 48, 64, 72, 96, 128}) {
      for (const int positions : slow ? std::vector{1, 65} : std::vector{1, 5, 32, 50, 65}) {
        for (const int heads : slow ? std::vector{2} : std::vector{1, 2, 3}) {
          for (const int active : {1, std::max(1, positions / 3), positions}) {
            compare(*subject, *backend, 3, heads, head_dim, positions, active,
                    subject->name() + " head_dim " + std::to_string(head_dim) + ", " + std::to_string(heads) +
                        " heads, " + std::to_string(active) + " of " + std::to_string(positions));
          }
        }
      }
    }
    compare(*subject, *backend, 1, 1, 16, 257, 100, subject->name() + " 257 positions, 100 rows");
    compare(*subject, *backend, 2, 1, 64, 130, 130, subject->name() + " 130 positions");
  }
  return report("attention");
}
