/** Where a public model comes from: for its config.json, its model card and the commands. */
export interface Origin {
  readonly name: string;
  readonly url: string;
  readonly licence: string;
}
