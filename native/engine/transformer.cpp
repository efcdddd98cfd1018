#include "transformer.h"

namespace magnets {

Transformer::Transformer(const TransformerConfig& config, const std::string& prefix, Loader& loader) : config_(config) {
  blocks_.reserve(config.layers);
  for (int layer = 0; layer < config.layers; ++layer) {
    blocks_.emplace_back(config.block, prefix + "layers." + std::to_string(layer) + ".", loader);
  }
  if (config.block.norm_place == NormPlace::pre) {
    final_norm_ = loader.norm(prefix + "norm", config.block.hidden_size, config.block.norm_eps);
  }
}

std::unique_ptr<KvCache> Transformer::cache(Backend& backend, int branches, int positions) const {
  return backend.kv_cache(config_.layers, branches, config_.block.heads, config_.block.head_dim, positions);
}

Input Transformer::run(const Width& width, const Rows& rows, KvCache& cache, Workspace& workspace,
                       Stream& stream) const {
  Input input{*workspace.x};
  for (int layer = 0; layer < config_.layers; ++layer) {
    input = blocks_[layer].run(width, rows, layer, input, cache, workspace, stream);
  }
  return config_.block.norm_place == NormPlace::pre ? Input{*workspace.x, &final_norm_} : input;
}

}  // namespace magnets
