/** Is the sentence about film or about food? */
import { list, words, type Task } from './grammar.ts'

/** Frames that every topic shares, and a few of its own. */
const SHARED_TRAIN = `the {*_thing} was {how}. | {who} talked about the {*_thing} and the {*_thing}. | {who} {*_did} {when}. | {when} {who} {*_did}. | there is news about the {*_thing}. | {who} read a book about the {*_thing}. |
the {*_who} spoke of the {*_thing}. | the {*_who} {*_did}. | {who} asked the {*_who} about the {*_thing}. | {when} the {*_who} {*_did}. | the {*_thing} and the {*_thing} were {how}. | they say the {*_who} is {how}. | {who} met the {*_who} {when}.`
const SHARED_DEV = `did you hear about the {*_thing}? | the {*_who} worried about the {*_thing}. | it is said that the {*_who} {*_did}. | {who} wrote to the {*_who} that the {*_thing} was {how}. | nobody knew why the {*_who} {*_did}. | all that {who} remembered was the {*_thing}. | once more the {*_who} {*_did}.`

const frames = (text: string, topic: string): string[] => list(text).map((frame) => frame.replaceAll('*', topic))
const label = (topic: string): { train: string[]; dev: string[] } => ({
  train: frames(SHARED_TRAIN, topic),
  dev: frames(SHARED_DEV, topic),
})

export const topic: Task = {
  name: 'topic',
  slots: {
    who: words(
      'my brother | Anna | our teacher | the neighbors | he | she | Tom | the old man | two friends || my aunt | Peter | the girls',
    ),
    when: words(
      'on monday | last year | in the evening | this morning | in may | a week ago | after that || in autumn | on friday | late at night',
    ),
    how: words(
      'new | well known | old | too long | better than before | different | in the paper | famous || strange | the same as ever | not what we expected',
    ),
    film_thing: words(
      "screenplay | camera | last scene | sequel | cinema | plot | documentary | special effects | movie | dialogue | screen || soundtrack | director's cut | film | comedy | trailer",
    ),
    film_who: words('actor | director | producer | leading lady | film critic | cast || actress | movie star | screenwriter'),
    film_did: words(
      'watched the movie | shot the scene | played the villain | bought the film rights | went to the cinema | read the script || filmed the ending | saw the comedy twice | starred in a thriller',
    ),
    food_thing: words(
      'soup | bread | dinner | kitchen | cheese | potatoes | restaurant menu | salad | butter | apple pie | rice || chicken | meal | vegetables | cake | sauce',
    ),
    food_who: words('cook | waiter | baker | butcher | chef || waitress | kitchen boy | hungry guest'),
    food_did: words(
      'baked a cake | boiled the eggs | ate the fish | cut the onions | cooked the meat | drank the milk || fried the potatoes | tasted the soup | made breakfast',
    ),
  },
  labels: { film: label('film'), food: label('food') },
}
