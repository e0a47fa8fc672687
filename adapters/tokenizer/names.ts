/** T5's own special tokens, where a tokenizer does not say. */
export const T5_PAD = '<pad>'
export const T5_EOS = '</s>'
export const T5_UNK = '<unk>'
