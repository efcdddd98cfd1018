#include "generator.h"

#include <cmath>

namespace magnets {

Generator::Generator(std::shared_ptr<Backend> backend, const GeneratorConfig& config, Loader& loader)
    : backend_(std::move(backend)), config_(config) {
  const BlockConfig& block = config_.transformer.block;
  const int d = block.hidden_size;
  words_ = loader.table("embeddings.word.weight", config_.vocab_size, d);
  positions_ = loader.matrix("embeddings.position.weight", config_.positions(), d, ElementType::f32);
  if (config_.embedding_norm == EmbeddingNorm::layer_norm) {
    embedding_norm_ = loader.norm("embeddings.norm", d, block.norm_eps);
  }
  if (block.modulation == Modulation::per_class) {
    const int rows = config_.classes.rows;
    std::vector<float> classes = loader.values("embeddings.class.weight", {rows, d});
    for (float& x : classes) x /= 1 + std::exp(-x);  // SiLU
    classes_ = loader.matrix(classes, rows, d, ElementType::activation);
  }
  transformer_ = std::make_unique<Transformer>(config_.transformer, "", Grain::any, loader);
  if (config_.head == Head::dense) {
    dense_ = loader.linear("head.dense", d, d);
    lm_head_norm_ = loader.norm("head.norm", d, block.norm_eps);
  }
  const bool tied = config_.head_weights == HeadWeights::words;
  lm_head_ = loader.linear(tied ? "embeddings.word.weight" : "head.output.weight", "head.bias",
                           config_.logits_columns(), d, Grain::fine);
  bytes_ = loader.bytes();
}

void Generator::modulate(const Buffer& class_rows, int branches, Workspace& workspace, Stream& stream) const {
  const int d = config_.transformer.block.hidden_size;
  Buffer& vectors = *workspace.x;  // no pass is under way that needs it
  stream.run(Gather{.x = {*classes_}, .index = class_rows, .count = branches, .columns = d, .y = vectors});
  transformer_->modulate(vectors, branches, workspace, stream);
}

Embed Generator::embedding(const Buffer& ids, const Buffer& first_ids, int samples, const Rows& rows, Buffer& x) const {
  return {.table = *words_,
          .positions = *positions_,
          .ids = ids,
          .first_ids = first_ids,
          .samples = samples,
          .sub_tokens = config_.sub_tokens,
          .rows = rows,
          .norm = embedding_norm_ ? &*embedding_norm_ : nullptr,
          .columns = config_.transformer.block.hidden_size,
          .x = x};
}

void Generator::lm_head(Input x, const Buffer& index, int count, LmHeadWorkspace& workspace, Stream& stream) const {
  const PartScope part(stream, Part::lm_head);
  const int d = config_.transformer.block.hidden_size;
  Buffer& gathered = *workspace.gathered;
  stream.run(Gather{.x = x, .index = index, .count = count, .columns = d, .y = gathered});
  Input last{gathered};
  if (config_.head == Head::dense) {
    Buffer& dense = *workspace.dense;
    last = stream.run(Matmul{.layer = *dense_,
                             .out = d,
                             .in = d,
                             .x = {gathered},
                             .rows = count,
                             .activation = config_.transformer.block.activation,
                             .y = dense},
                      Normalize{.x = dense, .norm = lm_head_norm_, .rows = count, .columns = d, .y = dense});
  }
  stream.run(Matmul{
      .layer = *lm_head_, .out = config_.logits_columns(), .in = d, .x = last, .rows = count, .y = *workspace.logits});
}

}  // namespace magnets
