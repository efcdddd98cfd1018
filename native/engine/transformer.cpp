#include "transformer.h"

namespace magnets {

Workspace::Workspace(Backend& backend, const TransformerConfig& config, int rows)
    : x(backend.allocate(ElementType::activation, rows, config.hidden_size)),
      y(backend.allocate(ElementType::activation, rows, config.hidden_size)),
      q(backend.allocate(ElementType::activation, rows, config.inner_size())),
      a(backend.allocate(ElementType::activation, rows, config.inner_size())),
      hidden(backend.allocate(ElementType::activation, rows, config.intermediate_size)) {}

Transformer::Transformer(const TransformerConfig& config, const std::string& prefix, Loader& loader) : config_(config) {
  const int d = config.hidden_size;
  const int inner = config.inner_size();
  const int f = config.intermediate_size;
  layers_.reserve(config.layers);
  for (int i = 0; i < config.layers; ++i) {
    const std::string layer = prefix + "layers." + std::to_string(i) + ".";
    layers_.push_back({
        .query = loader.linear(layer + "attention.query", inner, d),
        .key = loader.linear(layer + "attention.key", inner, d),
        .value = loader.linear(layer + "attention.value", inner, d),
        .output = loader.linear(layer + "attention.output", d, inner),
        .attention_norm = loader.norm(layer + "attention.norm", d, config.layer_norm_eps),
        .up = loader.linear(layer + "mlp.up", f, d),
        .down = loader.linear(layer + "mlp.down", d, f),
        .mlp_norm = loader.norm(layer + "mlp.norm", d, config.layer_norm_eps),
    });
  }
  if (config.pre_norm) norm_ = loader.norm(prefix + "norm", d, config.layer_norm_eps);
}

void Transformer::run(const Width& width, const Rows& rows, KvCache& cache, Workspace& workspace, Stream& stream,
                      bool codec) const {
  const int n = rows.count();
  const int d = config_.hidden_size;
  const int head_dim = config_.head_dim;
  const int inner = width.heads * head_dim;
  const bool pre_norm = config_.pre_norm;
  const Epilogue gelu = config_.gelu_tanh ? Epilogue::gelu_tanh : Epilogue::gelu;
  const Part projections = codec ? Part::codec : Part::projections;
  const Part attention = codec ? Part::codec : Part::attention;
  const Part mlp = codec ? Part::codec : Part::mlp;
  Buffer& x = *workspace.x;
  Buffer& y = *workspace.y;
  Buffer& q = *workspace.q;
  Buffer& a = *workspace.a;
  Buffer& hidden = *workspace.hidden;

  for (int i = 0; i < config_.layers; ++i) {
    const Layer& layer = layers_[i];

    if (pre_norm) stream.layer_norm(x, layer.attention_norm, n, d, y);
    stream.project_qkv(*layer.query, *layer.key, *layer.value, width.heads, head_dim, d, pre_norm ? y : x, rows, i,
                       projections, cache, q);
    stream.attention(q, rows, i, cache, width.heads, head_dim, attention, a);
    stream.linear(*layer.output, d, inner, a, n, Epilogue::add, projections, x);
    if (!pre_norm) stream.layer_norm(x, layer.attention_norm, n, d, x);

    if (pre_norm) stream.layer_norm(x, layer.mlp_norm, n, d, y);
    stream.linear(*layer.up, width.hidden, d, pre_norm ? y : x, n, gelu, mlp, hidden);
    stream.linear(*layer.down, d, width.hidden, hidden, n, Epilogue::add, mlp, x);
    if (!pre_norm) stream.layer_norm(x, layer.mlp_norm, n, d, x);
  }
}

std::unique_ptr<KvCache> Transformer::cache(Backend& backend, int branches, int positions) const {
  return backend.kv_cache(config_.layers, branches, config_.heads, config_.head_dim, positions);
}

}  // namespace magnets
