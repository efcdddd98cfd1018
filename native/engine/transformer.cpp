#include "transformer.h"

#include "modulation.h"

namespace magnets {

namespace {

constexpr int kFinalParts = 2;  // of the modulation of the norm after the last block: shift and weight

}  // namespace

Transformer::Transformer(const TransformerConfig& config, const std::string& prefix, Grain grain, Loader& loader)
    : config_(config) {
  blocks_.reserve(config.layers);
  for (int layer = 0; layer < config.layers; ++layer) {
    blocks_.emplace_back(config.block, prefix + "layers." + std::to_string(layer) + ".", grain, loader);
  }
  const int d = config.block.hidden_size;
  if (config.block.modulation == Modulation::per_class) {
    final_modulation_ = load_modulation(loader, prefix + "modulation", {prefix + "norm"}, true, kFinalParts, d);
  } else if (config.block.norm_place == NormPlace::pre) {
    final_norm_ = loader.norm(prefix + "norm", d, config.block.norm_eps, config.block.norm_kind);
  }
}

std::unique_ptr<KvCache> Transformer::cache(Backend& backend, int branches, int positions) const {
  return backend.kv_cache(config_.layers, branches, config_.block.heads, config_.block.head_dim, positions);
}

void Transformer::modulate(const Buffer& classes, int branches, Workspace& workspace, Stream& stream) const {
  const int d = config_.block.hidden_size;
  for (int layer = 0; layer < config_.layers; ++layer) {
    blocks_[layer].modulate(classes, branches, *workspace.modulation[layer], stream);
  }
  stream.run(Matmul{.layer = *final_modulation_,
                    .out = kFinalParts * d,
                    .in = d,
                    .x = {classes},
                    .rows = branches,
                    .y = *workspace.modulation.back()});
}

Input Transformer::run(const Width& width, const Rows& rows, KvCache& cache, Workspace& workspace,
                       Stream& stream) const {
  Input input{*workspace.x};
  for (int layer = 0; layer < config_.layers; ++layer) {
    input = blocks_[layer].run(width, rows, layer, input, cache, workspace, stream);
  }
  if (config_.block.norm_place == NormPlace::post) return input;
  if (!final_modulation_) return {*workspace.x, &final_norm_};
  const int d = config_.block.hidden_size;
  const Buffer& vectors = *workspace.modulation.back();
  stream.run(ModulatedNorm{.x = *workspace.x,
                           .kind = config_.block.norm_kind,
                           .epsilon = config_.block.norm_eps,
                           .weight = {.values = vectors, .first = kWeightPart * d},
                           .shift = {.values = vectors, .first = kShiftPart * d},
                           .rows = rows,
                           .columns = d,
                           .y = *workspace.x});
  return {*workspace.x};
}

}  // namespace magnets
