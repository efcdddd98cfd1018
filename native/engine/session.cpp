#include "session.h"

#include <algorithm>
#include <string>

namespace magnets {

namespace {

void check(bool condition, const std::string& message) {
  if (!condition) throw Error("ERR_ARGUMENT", message);
}

void check_size(size_t actual, size_t expected, const char* name) {
  check(actual == expected,
        "expected " + std::to_string(expected) + " " + name + " but received " + std::to_string(actual));
}

template <class T>
std::string bytes_of(const T* values, size_t count) {
  return std::string(reinterpret_cast<const char*>(values), count * sizeof(T));
}

}  // namespace

Session::Session(std::shared_ptr<const Generator> generator, int samples, bool guided)
    : generator_(std::move(generator)),
      samples_(samples),
      branches_(guided ? 2 * samples : samples),
      tokens_(generator_->config().tokens),
      workspace_(generator_->backend(), generator_->config().transformer,
                 branches_ * generator_->config().positions()) {
  Backend& backend = generator_->backend();
  const int positions = generator_->config().positions();
  ids_ = backend.allocate(ElementType::i32, samples_, tokens_);
  state_ = backend.allocate(ElementType::u8, samples_, tokens_);
  class_ids_ = backend.allocate(ElementType::i32, 1, branches_);
  noise_keys_ = backend.allocate(ElementType::i32, 3, samples_);
  sampled_ = backend.allocate(ElementType::i32, samples_, tokens_);
  confidence_ = backend.allocate(ElementType::f32, samples_, tokens_);
  row_index_ = backend.allocate(ElementType::i32, 1, branches_ * positions);
  head_index_ = backend.allocate(ElementType::i32, 1, branches_ * positions);
  cache_ = generator_->transformer().cache(backend, branches_, positions);
  stream_ = backend.stream();
}

Session::Session(std::shared_ptr<const Generator> generator, const SessionOptions& options)
    : Session(std::move(generator), static_cast<int>(options.class_ids.size()), options.null_class_id.has_value()) {
  start(options);
}

void Session::start(const SessionOptions& options) {
  const GeneratorConfig& config = generator_->config();
  const size_t size = static_cast<size_t>(samples_) * tokens_;
  check(samples_ > 0, "expected at least one sample");
  check_size(options.class_ids.size(), samples_, "class ids");
  check(options.null_class_id.has_value() == guided(), "expected guidance as the session was made for");
  check_size(options.ids.size(), size, "ids");
  check_size(options.masked.size(), size, "masked flags");
  check_size(options.sample_keys.size(), samples_, "sample keys");
  std::vector<int32_t> class_ids = options.class_ids;
  if (options.null_class_id) class_ids.resize(branches_, *options.null_class_id);
  const auto in_vocabulary = [&](int32_t id) { return id >= 0 && id < config.vocab_size; };
  check(std::all_of(options.ids.begin(), options.ids.end(), in_vocabulary) &&
            std::all_of(class_ids.begin(), class_ids.end(), in_vocabulary),
        "expected vocabulary ids below " + std::to_string(config.vocab_size));

  std::vector<uint8_t> state(size);
  masked_count_.assign(samples_, 0);
  revealed_count_.assign(samples_, 0);
  for (size_t i = 0; i < size; ++i) {
    state[i] = options.masked[i] ? kMasked : kKnown;
    masked_count_[i / tokens_] += options.masked[i] ? 1 : 0;
  }
  std::vector<int32_t> noise_keys = options.sample_keys;
  noise_keys.resize(2 * samples_, static_cast<int32_t>(options.seed));
  noise_keys.resize(3 * samples_, static_cast<int32_t>(options.seed >> 32));

  cached_width_.reset();
  head_rows_ = 0;
  stream_->flops = {};
  stream_->upload(options.ids.data(), samples_, tokens_, *ids_);
  stream_->upload(state.data(), samples_, tokens_, *state_);
  stream_->upload(class_ids.data(), 1, branches_, *class_ids_);
  stream_->upload(noise_keys.data(), 3, samples_, *noise_keys_);
}

void Session::check_compute(const Width& width, bool refresh) const {
  const TransformerConfig& transformer = generator_->config().transformer;
  check(width.heads >= 1 && width.heads <= transformer.heads && width.hidden >= 1 &&
            width.hidden <= transformer.intermediate_size,
        "expected a width of at most " + std::to_string(transformer.heads) + " heads and " +
            std::to_string(transformer.intermediate_size) + " hidden units");
  check(refresh || cached_width_ == width, "expected a refresh at the first step and at a change of width");
}

/// Sets which rows the next pass computes, and makes room for those of the head.
void Session::select(bool refresh, bool head_all) {
  selection_.row_start.assign(1, 0);
  selection_.head_start.assign(1, 0);
  for (int branch = 0; branch < branches_; ++branch) {
    const int sample = branch % samples_;
    const int rows = refresh ? tokens_ + 1 : masked_count_[sample] + revealed_count_[sample];
    selection_.row_start.push_back(selection_.row_start.back() + rows);
    selection_.head_start.push_back(selection_.head_start.back() + (head_all ? rows : masked_count_[sample]));
  }
  head_rows_ = selection_.head_start.back();
  if (head_rows_ <= head_capacity_) return;
  const GeneratorConfig& config = generator_->config();
  Backend& backend = generator_->backend();
  stream_->synchronize();  // the old ones may be in use
  // All or none: recorded steps know the old ones by their capacity.
  auto head_a = backend.allocate(ElementType::activation, head_rows_, config.transformer.hidden_size);
  auto head_b = backend.allocate(ElementType::activation, head_rows_, config.transformer.hidden_size);
  logits_ = backend.allocate(ElementType::f32, head_rows_, config.vocab_size);
  head_a_ = std::move(head_a);
  head_b_ = std::move(head_b);
  head_capacity_ = head_rows_;
}

/// Everything that the operations of a pass depend on, as bytes. The head's capacity stands for its buffers.
std::string Session::key_of(const Width& width, bool refresh, bool head_all) const {
  std::vector<int> key = {width.heads, width.hidden, refresh, head_all, head_capacity_};
  key.insert(key.end(), selection_.row_start.begin(), selection_.row_start.end());
  key.insert(key.end(), selection_.head_start.begin(), selection_.head_start.end());
  return bytes_of(key.data(), key.size());
}

void Session::run(const Width& width, bool refresh, bool head_all) {
  if (selection_.row_start.back() == 0) return;
  Stream& stream = *stream_;
  Buffer& x = *workspace_.x;
  stream.select_rows(*state_, samples_, tokens_, refresh, head_all, selection_, *row_index_, *head_index_);
  generator_->embed(*ids_, *class_ids_, samples_, rows(), x, stream);
  generator_->transformer().run(width, rows(), *cache_, workspace_, stream);
  if (head_rows_ > 0) generator_->head(x, *head_index_, head_rows_, *head_a_, *head_b_, *logits_, stream);
}

void Session::compute(const Width& width, bool refresh, bool head_all) {
  check_compute(width, refresh);
  select(refresh, head_all);
  cached_width_.reset();  // a pass that fails half way leaves no usable cache
  stream_->replay(key_of(width, refresh, head_all), [&] { run(width, refresh, head_all); });
  cached_width_ = width;
}

void Session::step(const Step& step) {
  if (!step.forced.empty()) {
    const int codebook_size = generator_->config().codebook_size;
    check_size(step.forced.size(), static_cast<size_t>(samples_) * tokens_, "forced tokens");
    check(std::all_of(step.forced.begin(), step.forced.end(), [&](int32_t token) { return token < codebook_size; }),
          "expected forced tokens below " + std::to_string(codebook_size));
    compute(step.width, step.refresh, step.head_all);
    return force(step.forced);
  }
  check_size(step.masked_after.size(), samples_, "masked counts");
  for (int sample = 0; sample < samples_; ++sample) {
    check(step.masked_after[sample] >= 0 && step.masked_after[sample] <= masked_count_[sample],
          "expected at most " + std::to_string(masked_count_[sample]) + " positions to stay masked but received " +
              std::to_string(step.masked_after[sample]));
  }
  check_compute(step.width, step.refresh);
  select(step.refresh, step.head_all);
  cached_width_.reset();
  const Sampling& s = step.sampling;
  const float numbers[] = {s.guidance, s.temperature, s.choice_temperature};
  const int counts[] = {s.top_k, static_cast<int>(s.step)};
  const std::string key = key_of(step.width, step.refresh, step.head_all) + bytes_of(numbers, 3) + bytes_of(counts, 2) +
                          bytes_of(step.masked_after.data(), step.masked_after.size());
  stream_->replay(key, [&] {
    run(step.width, step.refresh, step.head_all);
    sample_and_reveal(step);
  });
  cached_width_ = step.width;
  for (int sample = 0; sample < samples_; ++sample) {
    revealed_count_[sample] = masked_count_[sample] - step.masked_after[sample];
    masked_count_[sample] = step.masked_after[sample];
  }
}

void Session::sample_and_reveal(const Step& step) {
  Sampling sampling = step.sampling;
  sampling.codebook_size = generator_->config().codebook_size;
  sampling.guided = guided();
  if (head_rows_ > 0) {
    stream_->sample(*logits_, rows(), *head_index_, head_rows_, *state_, *noise_keys_, samples_, tokens_, sampling,
                    *sampled_, *confidence_);
  }
  stream_->reveal(*sampled_, *confidence_, step.masked_after, tokens_, *ids_, *state_);
}

void Session::force(const std::vector<int32_t>& tokens) {
  std::vector<int32_t> now = ids();
  std::vector<uint8_t> state(now.size());
  stream_->download(*state_, samples_, tokens_, state.data());
  revealed_count_.assign(samples_, 0);
  for (size_t i = 0; i < now.size(); ++i) {
    if (state[i] == kRevealed) state[i] = kKnown;
    if (state[i] != kMasked || tokens[i] < 0) continue;
    now[i] = tokens[i];
    state[i] = kRevealed;
    ++revealed_count_[i / tokens_];
    --masked_count_[i / tokens_];
  }
  stream_->upload(now.data(), samples_, tokens_, *ids_);
  stream_->upload(state.data(), samples_, tokens_, *state_);
}

std::vector<int32_t> Session::ids() {
  std::vector<int32_t> ids(static_cast<size_t>(samples_) * tokens_);
  stream_->download(*ids_, samples_, tokens_, ids.data());
  return ids;
}

std::vector<uint8_t> Session::masked() {
  std::vector<uint8_t> masked(static_cast<size_t>(samples_) * tokens_);
  stream_->download(*state_, samples_, tokens_, masked.data());
  for (uint8_t& state : masked) state = state == kMasked;
  return masked;
}

std::vector<float> Session::logits() {
  const int vocabulary = generator_->config().vocab_size;
  std::vector<float> logits(static_cast<size_t>(head_rows_) * vocabulary);
  if (head_rows_ > 0) stream_->download(*logits_, head_rows_, vocabulary, logits.data());
  return logits;
}

ForwardResult forward(std::shared_ptr<const Generator> generator, const std::vector<int32_t>& ids,
                      const std::vector<int32_t>& class_ids, const Width& width) {
  const size_t vocabulary = generator->config().vocab_size;
  const size_t row = generator->config().tokens * vocabulary;
  const size_t samples = class_ids.size();
  Session session(std::move(generator), {.ids = ids,
                                         .masked = std::vector<uint8_t>(ids.size(), 1),
                                         .class_ids = class_ids,
                                         .null_class_id = std::nullopt,
                                         .sample_keys = std::vector<int32_t>(samples)});
  session.compute(width, true, true);
  std::vector<float> logits = session.logits();
  for (size_t sample = 0; sample < samples; ++sample) {  // leave out the class token's row
    const auto from = logits.begin() + sample * (row + vocabulary) + vocabulary;
    std::copy(from, from + row, logits.begin() + sample * row);
  }
  logits.resize(samples * row);
  return {std::move(logits), session.flops()};
}

}  // namespace magnets
