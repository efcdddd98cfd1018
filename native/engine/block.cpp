#include "block.h"

namespace magnets {

Workspace::Workspace(Backend& backend, const BlockConfig& config, int rows)
    : x(backend.allocate(ElementType::activation, rows, config.hidden_size)),
      q(backend.allocate(ElementType::activation, rows, config.inner_size())),
      mixed(backend.allocate(ElementType::activation, rows, config.inner_size())),
      hidden(backend.allocate(ElementType::activation, rows, config.intermediate_size)) {}

Block::Block(const BlockConfig& config, const std::string& prefix, Loader& loader) : config_(config) {
  const int d = config.hidden_size, inner = config.inner_size(), f = config.intermediate_size;
  query_ = loader.linear(prefix + "attention.query", inner, d);
  key_ = loader.linear(prefix + "attention.key", inner, d);
  value_ = loader.linear(prefix + "attention.value", inner, d);
  output_ = loader.linear(prefix + "attention.output", d, inner);
  attention_norm_ = loader.norm(prefix + "attention.norm", d, config.norm_eps);
  up_ = loader.linear(prefix + "mlp.up", f, d);
  down_ = loader.linear(prefix + "mlp.down", d, f);
  mlp_norm_ = loader.norm(prefix + "mlp.norm", d, config.norm_eps);
}

// pre:   x = x + output(attention(LN(x)))        post:  x = LN(x + output(attention(x)))
//        x = x + down(act(up(LN(x))))                   x = LN(x + down(act(up(x))))
//
// A gate would be a second `up` beside the first, QK norm a field of ProjectQkv, modulation one of the norms.
Input Block::run(const Width& width, const Rows& rows, int layer, Input input, KvCache& cache, Workspace& workspace,
                 Stream& stream) const {
  const int d = config_.hidden_size, head_dim = config_.head_dim, inner = width.heads * head_dim;
  const bool pre = config_.norm_place == NormPlace::pre;
  Buffer& x = *workspace.x;
  Buffer& q = *workspace.q;
  Buffer& mixed = *workspace.mixed;
  Buffer& hidden = *workspace.hidden;

  stream.run(ProjectQkv{.query = *query_,
                        .key = *key_,
                        .value = *value_,
                        .heads = width.heads,
                        .head_dim = head_dim,
                        .in = d,
                        .x = pre ? Input{x, &attention_norm_} : input,
                        .rows = rows,
                        .layer = layer,
                        .cache = cache,
                        .q = q});
  stream.run(Attention{
      .q = q, .rows = rows, .layer = layer, .cache = cache, .heads = width.heads, .head_dim = head_dim, .out = mixed});
  stream.run(
      Matmul{.layer = *output_, .out = d, .in = inner, .x = {mixed}, .rows = rows.count, .residual = &input, .y = x});

  const PartScope mlp(stream, Part::mlp);
  const Input between =
      pre ? Input{x} : stream.run(Normalize{.x = x, .norm = attention_norm_, .rows = rows.count, .columns = d, .y = x});
  stream.run(Matmul{.layer = *up_,
                    .out = width.hidden,
                    .in = d,
                    .x = pre ? Input{x, &mlp_norm_} : between,
                    .rows = rows.count,
                    .activation = config_.activation,
                    .y = hidden});
  stream.run(Matmul{
      .layer = *down_, .out = d, .in = width.hidden, .x = {hidden}, .rows = rows.count, .residual = &between, .y = x});
  if (pre) return {x};
  return stream.run(Normalize{.x = x, .norm = mlp_norm_, .rows = rows.count, .columns = d, .y = x});
}

}  // namespace magnets
