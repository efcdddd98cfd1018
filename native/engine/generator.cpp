#include "generator.h"

namespace magnets {

Generator::Generator(std::shared_ptr<Backend> backend, const GeneratorConfig& config, WeightSource& source,
                     WeightFormat format)
    : backend_(std::move(backend)), config_(config) {
  DeviceLoader loader(*backend_, source, format);
  load(loader);
}

std::vector<TensorShape> Generator::tensors(const GeneratorConfig& config) {
  ListingLoader listing;
  Generator(config).load(listing);
  return listing.take();
}

void Generator::load(Loader& loader) {
  const BlockConfig& block = config_.transformer.block;
  const int d = block.hidden_size;
  words_ = loader.table("embeddings.word.weight", config_.vocab_size, d);
  positions_ = loader.matrix("embeddings.position.weight", config_.positions(), d, ElementType::f32);
  embedding_norm_ = loader.norm("embeddings.norm", d, block.norm_eps);
  transformer_ = std::make_unique<Transformer>(config_.transformer, "", loader);
  dense_ = loader.linear("head.dense", d, d);
  lm_head_norm_ = loader.norm("head.norm", d, block.norm_eps);
  lm_head_ = loader.linear("embeddings.word.weight", "head.bias", config_.vocab_size, d);
}

void Generator::embed(const Buffer& ids, const Buffer& class_ids, int samples, const Rows& rows, Buffer& x,
                      Stream& stream) const {
  stream.run(Embed{.table = *words_,
                   .positions = *positions_,
                   .ids = ids,
                   .class_ids = class_ids,
                   .samples = samples,
                   .rows = rows,
                   .norm = embedding_norm_,
                   .columns = config_.transformer.block.hidden_size,
                   .x = x});
}

void Generator::lm_head(Input x, const Buffer& index, int count, LmHeadWorkspace& workspace, Stream& stream) const {
  const PartScope part(stream, Part::lm_head);
  const int d = config_.transformer.block.hidden_size;
  Buffer& gathered = *workspace.gathered;
  Buffer& dense = *workspace.dense;
  stream.run(Gather{.x = x, .index = index, .count = count, .columns = d, .y = gathered});
  stream.run(Matmul{.layer = *dense_,
                    .out = d,
                    .in = d,
                    .x = {gathered},
                    .rows = count,
                    .activation = config_.transformer.block.activation,
                    .y = dense});
  const Input normalized =
      stream.run(Normalize{.x = dense, .norm = lm_head_norm_, .rows = count, .columns = d, .y = dense});
  stream.run(Matmul{
      .layer = *lm_head_, .out = config_.vocab_size, .in = d, .x = normalized, .rows = count, .y = *workspace.logits});
}

}  // namespace magnets
