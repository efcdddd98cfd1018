#include "generator.h"

namespace magnets {

Generator::Generator(std::shared_ptr<Backend> backend, const GeneratorConfig& config, WeightSource& source, DType dtype)
    : backend_(std::move(backend)), config_(config) {
  const TransformerConfig& transformer = config.transformer;
  const int d = transformer.hidden_size;
  Loader loader(*backend_, source, dtype);
  words_ = loader.linear("embeddings.word.weight", "head.bias", config.vocab_size, d);
  positions_ = loader.matrix("embeddings.position.weight", config.positions(), d);
  embedding_norm_ = loader.norm("embeddings.norm", d, transformer.layer_norm_eps);
  transformer_ = std::make_unique<Transformer>(transformer, "", loader);
  dense_ = loader.linear("head.dense", d, d);
  head_norm_ = loader.norm("head.norm", d, transformer.layer_norm_eps);
}

void Generator::embed(const Buffer& ids, const Buffer& class_ids, int samples, const Rows& rows, Buffer& x,
                      Stream& stream) const {
  stream.embed(words_.get(), *positions_, &ids, &class_ids, samples, rows, &embedding_norm_,
               config_.transformer.hidden_size, x);
}

void Generator::head(const Buffer& x, const Buffer& index, int count, Buffer& scratch_a, Buffer& scratch_b,
                     Buffer& logits, Stream& stream) const {
  const int d = config_.transformer.hidden_size;
  const Epilogue gelu = config_.transformer.gelu_tanh ? Epilogue::gelu_tanh : Epilogue::gelu;
  stream.gather(x, index, count, transformer_->final_norm(), d, scratch_a);
  stream.linear(*dense_, d, d, scratch_a, count, gelu, Part::head, scratch_b);
  stream.layer_norm(scratch_b, head_norm_, count, d, scratch_b);
  stream.linear(*words_, config_.vocab_size, d, scratch_b, count, Epilogue::store, Part::head, logits);
}

}  // namespace magnets
