#include "block.h"

#include "modulation.h"

namespace magnets {

namespace {

constexpr int kNorms = 2, kParts = 3;  // of modulation: attention's and the MLP's; shift, weight and gate

}  // namespace

Workspace::Workspace(Backend& backend, const TransformerConfig& config, int rows, int branches)
    : x(backend.allocate(ElementType::activation, rows, config.block.hidden_size)),
      q(backend.allocate_heads(rows, config.block.heads, config.block.head_dim)),
      mixed(backend.allocate_heads(rows, config.block.heads, config.block.head_dim)),
      hidden(backend.allocate(ElementType::activation, rows, config.block.intermediate_size)) {
  const int d = config.block.hidden_size;
  if (config.block.modulation == Modulation::none) return;
  normalized = backend.allocate(ElementType::activation, rows, d);
  for (int layer = 0; layer < config.layers; ++layer) {
    modulation.push_back(backend.allocate(ElementType::f32, branches, kNorms * kParts * d));
  }
  modulation.push_back(backend.allocate(ElementType::f32, branches, 2 * d));
}

void Workspace::discard_rows(int first) {
  for (Buffer* buffer : {x.get(), q.get(), mixed.get(), hidden.get(), normalized.get()}) {
    if (buffer != nullptr) buffer->discard_rows(first);
  }
}

Block::Block(const BlockConfig& config, const std::string& prefix, Grain grain, Loader& loader) : config_(config) {
  const int d = config.hidden_size, inner = config.inner_size(), f = config.intermediate_size;
  const std::string attention = prefix + "attention.", mlp = prefix + "mlp.";
  const bool has_bias = config.biases == Biases::all, norms_have_bias = config.norm_kind == NormKind::layer_norm;
  const HeadDims makes_heads{.out = config.head_dim}, reads_heads{.in = config.head_dim};
  query_ = loader.linear(attention + "query", inner, d, has_bias, grain, makes_heads);
  key_ = loader.linear(attention + "key", inner, d, has_bias, grain, makes_heads);
  value_ = loader.linear(attention + "value", inner, d, has_bias, grain, makes_heads);
  output_ = loader.linear(attention + "output", d, inner, has_bias, grain, reads_heads);
  if (config.gate == Gate::multiply) gate_ = loader.linear(mlp + "gate", f, d, has_bias, grain);
  up_ = loader.linear(mlp + "up", f, d, has_bias, grain);
  down_ = loader.linear(mlp + "down", d, f, has_bias, grain);
  if (config.modulation == Modulation::none) {
    attention_norm_ = loader.norm(attention + "norm", d, config.norm_eps, config.norm_kind, norms_have_bias);
    mlp_norm_ = loader.norm(mlp + "norm", d, config.norm_eps, config.norm_kind, norms_have_bias);
  } else {
    modulation_ =
        load_modulation(loader, prefix + "modulation", {attention + "norm", mlp + "norm"}, norms_have_bias, kParts, d);
  }
}

void Block::modulate(const Buffer& classes, int branches, Buffer& y, Stream& stream) const {
  const int d = config_.hidden_size;
  stream.run(
      Matmul{.layer = *modulation_, .out = kNorms * kParts * d, .in = d, .x = {classes}, .rows = branches, .y = y});
}

// pre:   x = x + a * output(attention(norm(x)))        post:  x = norm(x + output(attention(x)))
//        x = x + b * down(mlp(norm(x)))                       x = norm(x + down(mlp(x)))
//
// mlp(x) = act(up(x)), or with a gate act(gate(x)) * up(x). With modulation the norms' weights and biases, and the
// residuals' gates a and b, are vectors of each branch's class; without it a and b are 1.
Input Block::run(const Width& width, const Rows& rows, int layer, Input input, KvCache& cache, Workspace& workspace,
                 Stream& stream) const {
  const int d = config_.hidden_size, head_dim = config_.head_dim, inner = width.heads * head_dim;
  const bool pre = config_.norm_place == NormPlace::pre, modulated = config_.modulation == Modulation::per_class;
  Buffer& x = *workspace.x;
  Buffer& q = *workspace.q;
  Buffer& mixed = *workspace.mixed;
  Buffer& hidden = *workspace.hidden;

  enum Half { kAttention, kMlp };
  const auto vectors = [&](Half half, ModulationPart part) {
    return BranchVectors{.values = *workspace.modulation[layer], .first = (half * kParts + part) * d};
  };
  // What a half reads, and how what it found joins the residual.
  const auto normed = [&](Half half, const Norm& norm, Input from) -> Input {
    if (!pre) return from;
    if (!modulated) return {x, &norm};
    stream.run(ModulatedNorm{.x = x,
                             .kind = config_.norm_kind,
                             .epsilon = config_.norm_eps,
                             .weight = vectors(half, kWeightPart),
                             .shift = vectors(half, kShiftPart),
                             .rows = rows,
                             .columns = d,
                             .y = *workspace.normalized});
    return {*workspace.normalized};
  };
  const auto add_to_residual = [&](Half half, const Linear& layer, const Norm& norm, int in, const Buffer& from,
                                   const Input& residual) -> Input {
    Matmul sum{.layer = layer, .out = d, .in = in, .x = {from}, .rows = rows.count, .residual = &residual, .y = x};
    if (!pre) return stream.run(sum, Normalize{.x = x, .norm = norm, .rows = rows.count, .columns = d, .y = x});
    std::optional<BranchScale> scale;
    if (modulated) sum.residual_scale = &scale.emplace(BranchScale{.scale = vectors(half, kGatePart), .rows = rows});
    stream.run(sum);
    return {x};
  };

  stream.run(
      ProjectQkv{.query = *query_,
                 .key = *key_,
                 .value = *value_,
                 .heads = width.heads,
                 .head_dim = head_dim,
                 .in = d,
                 .x = normed(kAttention, attention_norm_, input),
                 .rows = rows,
                 .layer = layer,
                 .cache = cache,
                 .qk_norm_epsilon = config_.qk_norm == QkNorm::rms ? std::optional(config_.norm_eps) : std::nullopt,
                 .q = q});
  stream.run(Attention{
      .q = q, .rows = rows, .layer = layer, .cache = cache, .heads = width.heads, .head_dim = head_dim, .out = mixed});
  const Input between = add_to_residual(kAttention, *output_, attention_norm_, inner, mixed, input);

  const PartScope mlp(stream, Part::mlp);
  const Input mlp_input = normed(kMlp, mlp_norm_, between);
  const Matmul activated{.layer = gate_ ? *gate_ : *up_,
                         .out = width.hidden,
                         .in = d,
                         .x = mlp_input,
                         .rows = rows.count,
                         .activation = config_.activation,
                         .y = hidden};
  stream.run(activated);
  if (gate_) {
    stream.run(Matmul{.layer = *up_,
                      .out = width.hidden,
                      .in = d,
                      .x = mlp_input,
                      .rows = rows.count,
                      .multiplies = true,
                      .y = hidden});
  }
  return add_to_residual(kMlp, *down_, mlp_norm_, width.hidden, hidden, between);
}

}  // namespace magnets
