// Projection into the cache, attention from it and the product that reads what it mixed, against the reference: few and
// all rows, every width, head dimensions from 1 to 512, keys and values of other rows left from a pass before; and
// inputs that carry a norm.
#include <algorithm>

#include "check.h"

using namespace magnets;
using namespace magnets::test;

namespace {

constexpr int kLayers = 2, kBranches = 2, kIn = 40, kOut = 19;

void compare(const Subject& subject, Backend& backend, int full_heads, int heads, int head_dim, int positions,
             int active, bool qk_norm, const std::string& what) {
  constexpr float kEpsilon = 1e-5f;
  const int full = full_heads * head_dim;
  const int inner = heads * head_dim;
  Random random(positions + head_dim);
  const reference::Matrix weights[3] = {random.matrix(full, kIn), random.matrix(full, kIn), random.matrix(full, kIn)};
  const std::vector<double> bias(full, 0.25);
  const std::vector<float> biases(full, 0.25f);
  auto stream = backend.stream();
  std::unique_ptr<Linear> layers[3];
  for (int i = 0; i < 3; ++i) {
    layers[i] = backend.linear({to_floats(weights[i]).data(), DType::f32, full, kIn}, biases.data(),
                               subject.formats()[0], {.out = head_dim});
  }
  const auto output_weight = random.matrix(kOut, full);
  const auto output = backend.linear({to_floats(output_weight).data(), DType::f32, kOut, full}, nullptr,
                                     subject.formats()[0], {.in = head_dim});
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
    const auto x = random.matrix(rows.count, kIn);
    reference::Matrix projected[3] = {{x.rows, inner}, {x.rows, inner}, {x.rows, inner}};
    // Sums of kIn products of 14 bits are exact in f32, so a projection is rounded just once.
    for (int i = 0; i < 3; ++i) {
      reference::matmul(weights[i], bias, inner, kIn, x, Activation::none, nullptr, projected[i]);
      for (double& value : projected[i].values) value = subject.rounded(value);
    }
    // A query or key under QK norm errs as a norm does, and is rounded once more.
    double norm_error = 0;
    for (int i = 0; i < 2 && qk_norm; ++i) {
      const auto normal = reference::qk_norm(projected[i], kEpsilon);
      for (int row = 0; row < x.rows; ++row) {
        for (int j = 0; j < inner; ++j) {
          const double error = unscaled_norm_bound(projected[i], NormKind::rms_norm, kEpsilon, row, j);
          norm_error = std::max(norm_error, error + subject.roundoff(std::abs(normal.at(row, j)) + error));
        }
      }
      projected[i] = normal;
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
    Guarded q(backend, *stream, x.rows, heads, head_dim), out(backend, *stream, x.rows, heads, head_dim),
        y(backend, *stream, reference::Matrix(x.rows, kOut), ElementType::f32);
    const Flops before = stream->flops();
    for (int layer = 0; layer < kLayers; ++layer) {  // the same in both: neither may disturb the other
      stream->run(ProjectQkv{.query = *layers[0],
                             .key = *layers[1],
                             .value = *layers[2],
                             .heads = heads,
                             .head_dim = head_dim,
                             .in = kIn,
                             .x = {*input.buffer},
                             .rows = rows,
                             .layer = layer,
                             .cache = *cache,
                             .qk_norm_epsilon = qk_norm ? std::optional(kEpsilon) : std::nullopt,
                             .q = *q.buffer});
    }
    stream->run(Attention{.q = *q.buffer,
                          .rows = rows,
                          .layer = 1,
                          .cache = *cache,
                          .heads = heads,
                          .head_dim = head_dim,
                          .out = *out.buffer});
    const auto queries = q.read(*stream, x.rows, inner, what + ": q");
    stream->run(Matmul{.layer = *output, .out = kOut, .in = inner, .x = {*out.buffer}, .rows = x.rows, .y = *y.buffer});
    for (int row = 0; row < x.rows; ++row) {
      for (int i = 0; i < inner; ++i) {
        check_near(queries[static_cast<size_t>(row) * q.columns + i], projected[0].at(row, i), norm_error,
                   what + ": q");
      }
    }
    const auto actual = out.read(*stream, x.rows, inner, what);
    const Flops done = stream->flops() - before;
    const auto count = static_cast<uint64_t>(x.rows);
    check(done[Part::projections] == (kLayers * 6 * kIn + 2 * kOut) * count * inner, what + ": FLOPs of products");
    check(done[Part::attention] == 4 * count * inner * positions, what + ": FLOPs of attention");

    // What was mixed, times the output's weights: a sum of `inner` products in f32.
    const auto outputs = y.read(*stream, x.rows, kOut, what + ": output");
    for (int row = 0; row < x.rows; ++row) {
      for (int o = 0; o < kOut; ++o) {
        double expected = 0, magnitude = 0;
        for (int i = 0; i < inner; ++i) {
          const double product = actual[static_cast<size_t>(row) * out.columns + i] * output_weight.at(o, i);
          expected += product;
          magnitude += std::abs(product);
        }
        check_near(outputs[static_cast<size_t>(row) * y.columns + o], expected, (inner + 2) * kUnit * magnitude,
                   what + ": output");
      }
    }

    for (int branch = 0; branch < kBranches; ++branch) {
      const int first = list.start[branch], last = list.start[branch + 1];
      reference::Matrix queries(last - first, inner), expected(last - first, inner);
      for (int row = first; row < last; ++row) {
        for (int i = 0; i < inner; ++i) queries.at(row - first, i) = projected[0].at(row, i);
      }
      reference::attention(queries, keys[branch], values[branch], heads, expected);
      const auto largest = [](const reference::Matrix& m) {
        double most = 0;
        for (const double value : m.values) most = std::max(most, std::abs(value));
        return most;
      };
      const double bound = attention_bound(subject, head_dim, positions, largest(queries), largest(keys[branch]),
                                           largest(values[branch]), norm_error);
      for (int row = first; row < last; ++row) {
        for (int i = 0; i < inner; ++i) {
          check_near(actual[static_cast<size_t>(row) * out.columns + i], expected.at(row - first, i), bound, what);
        }
      }
    }
  }
}

/// A norm that ProjectQkv's input carries: that of the reference, and of Normalize and the plain operation. With one
/// position a branch, attention is the value itself.
void projects_under_a_norm(const Subject& subject, Backend& backend, int positions) {
  constexpr int kHeads = 2, kHeadDim = 24, kInner = kHeads * kHeadDim;
  Random random(positions);
  auto stream = backend.stream();
  const reference::Matrix weights[3] = {random.matrix(kInner, kIn), random.matrix(kInner, kIn),
                                        random.matrix(kInner, kIn)};
  std::unique_ptr<Linear> layers[3];
  for (int i = 0; i < 3; ++i) {
    layers[i] = backend.linear({to_floats(weights[i]).data(), DType::f32, kInner, kIn}, nullptr, subject.formats()[0],
                               {.out = kHeadDim});
  }
  std::vector<int> all(positions);
  for (int position = 0; position < positions; ++position) all[position] = position;
  const RowList list(backend, *stream, {all, all, all}, positions);
  const Rows rows = list.rows();
  const auto x = random.matrix(rows.count, kIn);
  const RandomNorm norm(backend, *stream, random, kIn);
  Guarded input(backend, *stream, x), y(backend, *stream, x);

  std::vector<std::vector<float>> queries, outs;
  for (const bool apart : {false, true}) {
    auto cache = backend.kv_cache(1, rows.branches, kHeads, kHeadDim, positions);
    Guarded q(backend, *stream, rows.count, kHeads, kHeadDim), out(backend, *stream, rows.count, kHeads, kHeadDim);
    Input normalized{*input.buffer, &norm.norm};
    if (apart) {
      normalized = stream->run(
          Normalize{.x = *input.buffer, .norm = norm.norm, .rows = rows.count, .columns = kIn, .y = *y.buffer});
    }
    stream->run(ProjectQkv{.query = *layers[0],
                           .key = *layers[1],
                           .value = *layers[2],
                           .heads = kHeads,
                           .head_dim = kHeadDim,
                           .in = kIn,
                           .x = normalized,
                           .rows = rows,
                           .layer = 0,
                           .cache = *cache,
                           .q = *q.buffer});
    stream->run(Attention{.q = *q.buffer,
                          .rows = rows,
                          .layer = 0,
                          .cache = *cache,
                          .heads = kHeads,
                          .head_dim = kHeadDim,
                          .out = *out.buffer});
    queries.push_back(q.read(*stream, rows.count, kInner, "q under a norm"));
    outs.push_back(out.read(*stream, rows.count, kInner, "attention under a norm"));
    input.read(*stream, rows.count, kIn, "a norm of the input");
  }
  if (subject.same_bits()) {
    check(queries[0] == queries[1] && outs[0] == outs[1], "ProjectQkv's norm is that of Normalize, to the bit");
  }

  const auto expected = reference::normalize(x, norm.values);
  const std::vector<double> no_bias(kInner);
  for (const int which : {0, 2}) {  // queries; values
    if (which == 2 && positions > 1) continue;
    reference::Matrix projected(rows.count, kInner);
    reference::matmul(weights[which], no_bias, kInner, kIn, expected, Activation::none, nullptr, projected);
    for (const auto& actual : which == 0 ? queries : outs) {
      for (int row = 0; row < rows.count; ++row) {
        for (int o = 0; o < kInner; ++o) {
          double magnitude = 0, bound = 0;
          for (int i = 0; i < kIn; ++i) {
            const double weight = std::abs(weights[which].at(o, i));
            const double value = expected.at(row, i);
            magnitude += std::abs(value) * weight;
            bound += (norm_bound(x, norm.values, row, i) + subject.roundoff(value)) * weight;
          }
          bound += (kIn + 2) * kUnit * magnitude;
          bound += 2 * subject.roundoff(std::abs(projected.at(row, o)) + bound);  // and as the mix's factor 1
          check_near(actual[static_cast<size_t>(row) * (kInner + Guarded::kMoreHeads * kHeadDim) + o],
                     projected.at(row, o), bound, "a projection under a norm");
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
    // Watched, one for each kernel of a GPU: what is zeros beyond head_dim is memory too.
    for (const int head_dim : subject->watched() ? std::vector{7, 20, 48, 72, 85, 120}
                                                 : std::vector{1, 7, 16, 20, 32, 48, 64, 72, 85, 96, 128}) {
      for (const int positions : slow ? std::vector{1, 65} : std::vector{1, 5, 32, 50, 65}) {
        for (const int heads : slow ? std::vector{2} : std::vector{1, 2, 3}) {
          for (const int active : {1, std::max(1, positions / 3), positions}) {
            compare(*subject, *backend, 3, heads, head_dim, positions, active, active < positions,
                    subject->name() + " head_dim " + std::to_string(head_dim) + ", " + std::to_string(heads) +
                        " heads, " + std::to_string(active) + " of " + std::to_string(positions));
          }
        }
      }
    }
    for (const int head_dim : subject->watched() ? std::vector{133, 512} : std::vector{133, 200, 512}) {
      for (const int positions : subject->watched() ? std::vector{31} : std::vector{1, 31, 70}) {
        compare(*subject, *backend, 2, 1, head_dim, positions, (positions + 1) / 2, false,
                subject->name() + " wide heads of " + std::to_string(head_dim));
      }
    }
    compare(*subject, *backend, 1, 1, 16, 257, 100, false, subject->name() + " 257 positions, 100 rows");
    compare(*subject, *backend, 2, 1, 64, 130, 130, true, subject->name() + " 130 positions");
    for (const int positions : {1, 7}) projects_under_a_norm(*subject, *backend, positions);
  }
  return report("attention");
}
