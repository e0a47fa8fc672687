/** Does the question ask for a person or for a place? */
import { list, words, type Task } from './grammar.ts'

export const question: Task = {
  name: 'question',
  slots: {
    work: words(
      'the first novel | this song | the national anthem | the play | the old opera | the famous speech | the letter | the report | the film || the poem | the symphony | the story | this book | the diary | the hymn | the law',
    ),
    built: words(
      'the bridge | the tower | the railway | the cathedral | the canal | the old castle | the museum | the harbor | the town hall | the prison | the market | the hospital || the library | the stadium | the palace | the dam | the theater | the lighthouse',
    ),
    event: words(
      'the war | the election | the fire | the strike | the festival | the race | the wedding | the flood | the concert | the storm | the harvest | the battle | the debate | the exhibition || the revolution | the meeting | the earthquake | the trial | the parade | the attack',
    ),
    began: words('begin | end | start | happen | take place || stop | break out | come to an end'),
    job: words(
      'president | captain | painter | singer | scientist | king | actor | inventor | general | doctor || poet | queen | director | explorer | judge | pilot',
    ),
    did: words(
      'won the prize | crossed the ocean | led the army | designed the flag | played the lead | broke the record | signed the treaty || discovered the island | founded the school | climbed the mountain | stole the painting | found the treasure | saved the child',
    ),
    land: words(
      'this river | that lake | the island | the desert | this mountain | the border | the valley | the old road | the bay | the volcano | the national park || the waterfall | the coast | the forest',
    ),
    people: words(
      'the team | the company | the family | the band | the army | the tribe | the royal family || the club | the workers | the writer',
    ),
    beast: words(
      'elephants | tigers | penguins | these birds | wild horses | the bears | snakes | eagles | lions | bees || whales | camels | wolves',
    ),
  },
  labels: {
    person: {
      train: list(
        `who wrote {work}? | who built {built}? | who {did}? | which {job} {did}? | name the {job} who {did}. | who was the {job} during {event}? | what {job} opened {built}? | who was the first {job} of the country? |
        who is the {job} in {work}? | whose voice do we hear in {work}? | what is the name of the {job} who {did}? | who paid for {built}? | which {job} died in {event}? | who leads {people}?`,
      ),
      dev: list(
        `tell me who {did}. | what was the name of the {job} before {event}? | by whom was {work} written, the {job} or {people}? | which famous {job} lived near {built}? | whose idea were {work} and {built}? | who else was at {event}? | what woman {did}?`,
      ),
    },
    place: {
      train: list(
        `where is {land}? | where did {event} {began}? | in which city is {built}? | what country do {beast} come from? | where can I see {built}? | in what state did {event} {began}? | where do {beast} live? |
        which country owns {land}? | name the city where the {job} was born. | where does {people} come from? | what continent is {land} on? | what city has {built}? | where was {work} written? | through which countries does {land} run? | in what town did {people} see {beast}? | where did the {job} go during {event}?`,
      ),
      dev: list(
        `tell me where {event} took place. | what town lies between {land} and {built}? | in which country can {people} see {beast}? | to what city did {people} move before {event}? | where on the map is {land}? | which state has {built}? | where was the {job} buried after {event}? | from which town did the {job} leave for {land}?`,
      ),
    },
  },
}
