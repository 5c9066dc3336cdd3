//! What notes in shorthand say: warnings, tests and vaccines, conditions, what is over at the end of a course, and whose something is. Beside each
//! stand sentences that look alike and say something else.

use super::tests::assert_said;

#[test]
fn what_is_warned_of_is_feared() {
    assert_said(&[
        "Warned {pneumonitis|Y}, {colitis|Y}.",
        "Safety net: {fever|Y}, {rash|Y}. She has {eczema|}.",
        "Danger signs: {bleeding|Y}, {headache|Y}.",
        "Consent: {bleeding|Y}, {infection|Y}. {Gout|} stable.",
        "No danger signs: {bleeding|N}.",
        "Counselled {hypoglycaemia|Y}. Avoid {constipation|Y}.",
        "Warned by his GP, has {chest pain|}. Counselled, {depression|} better.",
        "TR-Band 4 h; cave {Nachblutung|Y}. Er hat {Husten|}.",
        "Warnzeichen: {Fieber|Y}, {Atemnot|Y}. Der Patient hat keine {Schmerzen|N}.",
        "CAVE: {Epilepsie|}. Der Patient ist mit der Tochter da.",
        "Cave {Penicillinallergie|}. Der Patient ist mit der Tochter da.",
        "Prévenu : {douleurs|Y}, {fièvre|Y}. Le patient va bien.",
        "Signaler toute {douleur|Y} ou {pustules|Y}.",
        "Signes d'alerte : {fièvre|Y}, {céphalées|Y}.",
        "Pas de signe d'alarme : {fièvre|N}.",
        "Signos de alarma: {cefalea|Y}, {melenas|Y}.",
        "Sin signos de alarma: {cefalea|N}.",
        "Segni di allarme: {febbre|Y}, {dispnea|Y}.",
        "Il paziente nega segni di allarme: {febbre|N}.",
        "Alarmsymptomen: {koorts|Y}, {pijn|Y}.",
        "Let op {orthostase|Y}. De patiënt heeft {jicht|}.",
        "Let op: bekend met {epilepsie|}.",
        "Controle op {bloeding|Y}. De patiënt heeft {jicht|}.",
        "Controle op de poli ivm {diabetes|}.",
        "Sinais de alarme: {febre|Y}, {dispneia|Y}.",
        "O doente tem cuidado {hipotensão|Y}. Faz cuidado de {úlcera|}.",
    ]);
}

#[test]
fn what_somebody_is_watched_for_is_feared() {
    assert_said(&[
        "Watch drain for {bile leak|Y}, {bleeding|Y}.",
        "Monitor BMs for {hyperglycaemia|Y}.",
        "Watch imminent signs of {eclampsia|Y}.",
        "Watch {seizures|Y}.",
        "Monitor shows {AF|}. Patient watches TV, has {cough|}.",
        "Controllare {sanguinamento|Y}. Il paziente ha {febbre|}.",
        "Vigilância de {hemorragia|Y}.",
    ]);
}

#[test]
fn what_somebody_is_afraid_of_is_feared() {
    assert_said(&[
        "Fear of {cancer|Y}. Worried re {dementia|Y}.",
        "She is worried about her {cough|}.",
        "Angst vor {Krebs|Y}, {Husten|}. Der Patient ist mit der Tochter da.",
        "Peur d'un {cancer|Y}. Miedo a {infarto|Y}. Paura di {cancro|Y}. Angst voor {darmkanker|Y}.",
        "O doente tem medo de {cancro|Y}, {tosse|}.",
        "{Angst|} und {Unruhe|}. Der Patient ist mit der Tochter da.",
    ]);
}

#[test]
fn tests_and_vaccines_are_for_what_may_be() {
    assert_said(&[
        "Screen {hep B|Y}/{HIV|Y}. {ROP|Y} screen wk 31.",
        "{Bowel cancer|Y} screening due. {Depression|} screen positive.",
        "{HBV|Y} serology requested. {HBV|N} serology negative.",
        "{Influenza|} PCR detected. {Dengue|Y} PCR sent.",
        "Serología {VHB|Y} pendiente. Serologia {HIV|N} negativa.",
        "Sierologia {Lyme|Y}/{lue|Y}. Il paziente ha {febbre|}.",
        "Sorologias {HIV|Y}, {sífilis|Y}. O doente tem {febre|}.",
        "{HIV|Y} test offered.",
        "{Hep B|Y} vacc n/a. {Hep B|Y} vaccination due.",
        "Vaccin {fièvre jaune|Y} 2015, {hépatite A|Y} non fait.",
        "Vaccinata per {influenza|Y}, {tosse|}.",
        "Prophylaxe {Pneumonie|Y} s. Plan. Der Patient ist mit der Tochter da.",
        "{Bleeding|Y} risk HAS-BLED 3. Risk {infection|Y} discussed.",
        "{VTE|Y}: TEDs only. {VTE|}: warfarin",
        "Emeset 4 mg sos for {vomiting|Y}",
    ]);
}

#[test]
fn a_condition_may_be_that_something_is_absent() {
    assert_said(&[
        "Restart apixaban if CT shows no {haemorrhage|Y}.",
        "Der Patient kommt wieder. Abatacept geplant, sofern kein {Infekt|Y}.",
        "Reprise Xarelto J3 si pas d'{hémorragie|Y}.",
        "Apixabán desde día 10 si TAC sin {hemorragia|Y}.",
        "Ontslag mits geen {koorts|Y}. De patiënt is thuis.",
        "O doente vai manter se s/ {broncoespasmo|Y}",
        "Denies {fever|N}. No {pain|N}, return if {chills|Y}.",
        "If worse, call. No {fever|N}.",
        "LP if CRP >40 ?{meningitis|U}",
        "Transfundir se Hb<7 ou {sangramento|Y}. O doente não tem {febre|N}.",
    ]);
}

#[test]
fn what_is_to_be_done_where_it_comes_stands_behind_it() {
    assert_said(&[
        "{Dyspnoe|Y} oder {AP|Y} → sofort EKG. Der Patient ist mit der Tochter da.",
        "{Douleurs|Y}, {fièvre|Y}, {méléna|Y} = urgences. Le patient va bien.",
        "{Swelling|Y} of the lips, or {trouble breathing|Y}: call 911.",
        "{Chest pain|} -> ED, given aspirin.",
        "Aufklärung: bei {Inkontinenz|Y} oder zunehmender {Lähmung|Y} sofort Klinik. Der Patient ist da.",
        "Bei starken {Schmerzen|} Vorstellung in der Notaufnahme. Der Patient ist da.",
        "Der Patient ist da.\nProcedere: Bei persistierendem {Fieber|Y} Umstellung auf Meropenem.",
        "Der Patient ist da. Bei persistierendem {Fieber|} Umstellung auf Meropenem.",
        "De patiënt is thuis.\nBeleid: auto-CPAP. Bij persisterende {hypercapnie|Y} BiPAP.",
        "MgSO4 alleen bij ernstige {PE|Y} of {eclampsie|Y}.",
        "Controle over 2 d, eerder bij {koorts|Y} >39, {braken|Y}. De patiënt is thuis.",
    ]);
}

#[test]
fn what_is_over_is_told_at_the_end_of_its_course() {
    assert_said(&[
        "{Hautriss|H} re Unterarm vom Transfer 3.5., abgeheilt. Der Patient ist da.",
        "{Neumonía|H} d3, {ampicilina|!} 7 d, resuelta. La paciente tiene {tos|}.",
        "{Hypotensie|H} 82/40 -> {efedrine|!} 6 mg, hersteld. De patiënt heeft {jeuk|}.",
        "Após {angina|H} ({amoxicilina|!} 6 d, curada). O doente tem {prurido|}.",
        "Une {angine|H} (TDR +, {amox|!} 6 j, guérie). Le patient a un {prurit|}.",
        "Un episodio di {epistassi|H} domenica, autorisolto. Il paziente ha {febbre|}.",
        "Short run {SVT|H}, self terminated.",
        "{Delirium|H} hipoactivo d2-4 resolvió. La paciente tiene {tos|}.",
        "{COPD|}, {pneumonia|H}, resolved.",
        "{Pneumonia|} once settled home.",
        "{Pain|} with {effusion|H} on the right, resolved.",
        "{Confusion|} not resolved.",
    ]);
}

#[test]
fn months_of_years_are_past() {
    assert_said(&[
        "{Rejection|H} Jan 2020, pulsed. {Pneumonia|H} 3/2021.",
        "{Pneumopathie|H} mars 2019. {Neumonía|H} enero 2019. {Polmonite|H} gennaio 2019.",
        "{Pneumonie|H} 03/2019. {Rash|} 3/7.",
        "She had a {tubulovillous adenoma|H} removed from the caecum at 35.",
        "{Polyp|} removed at colonoscopy.",
        "{TB|H} treated 2005. {PE|H} post partum 2018. {Chickenpox|H} age 4.",
        "{TBC|H} trattata nel 2005. {TB|H} traitée 2005. {Hernia|H} operada 2010.",
        "{SLE|} treated since 2005. {Asthma|} treated with 2000 mcg.",
        "In precedenza {rash|H} con PTU. Il paziente ha {febbre|}.",
        "Ancien {AVC|H}. Le patient a une {toux|}.",
        "CT hersenen: oude {lacunes|}, geen {bloeding|N}. De patiënt is thuis.",
    ]);
}

#[test]
fn headings_of_histories_have_short_forms() {
    assert_said(&[
        "POH: {amblyopia|H}\nPast H/o: {GDM|H}\nObs H/o: {abortion|H}",
        "Atcd pers: {asthme|H}, {migraine|H}.",
        "Voorgesch.: {mammacarcinoom|H} re",
        "CLINICAL HX: palpable {mass|}\nINTERVAL HX: {Nightmares|} back",
        "Hx: {sore throat|} 4/7, {fever|}",
        "Hx: {T1DM|H} 31 yrs",
        "AP: {BPCO|H}, {AOMI|H}. Le patient vit seul avec un fils unique, à Gand, et va bien.\nPlaintes\n {Douleur|} au bassin",
    ]);
}

#[test]
fn relatives_have_more_names() {
    assert_said(&[
        "Schoonzus {mucoviscidose|F}. De patiënt is thuis.",
        "Hno 3 a con {CVAS|F}. La paciente tiene {tos|}.",
        "Schwager {Gicht|F}. Der Patient ist da.",
        "Cunhada com {asma|F}. O doente tem {febre|}.",
        "Paternal aunt {endometrial cancer|F} 51 then {TCC|F} 63.",
        "Maternal side: {breast cancer|F} in a great aunt.",
        "No {pain|N} on the left side: {swelling|}",
        "Mitfahrt Ehemann (er selbst {Herzschmerzen|F}). Der Patient ist da.",
        "Fille prévenue (elle-même sous chimio pour {cancer du sein|F}). Le patient va bien.",
        "Patient geht es gut (er selbst: {Husten|}). Der Patient ist da.",
        "Épouse débutant un {Alzheimer|F}. Le patient va bien.",
        "Twin 2 died d3 ({NEC|F}).",
        "Sohn {Asthma|F}, {Husten|}. Der Patient ist da.",
        "Mari {démence|F}. Le patient va bien.",
        "Zoon met {griep|F}. De patiënt is thuis.",
        "{Diabetes|F} bei der Mutter. Der Patient ist da.",
        "Der Patient kommt mit dem Sohn, {Husten|}.",
        "Man met {griep|}. De patiënt is thuis.",
        "Baby: {caput succedaneum|F}, {jaundice|F}.",
        "{Nódulo|} mama derecha. La paciente tiene {tos|}.",
    ]);
}

#[test]
fn what_is_uncertain_is_shortened_too() {
    assert_said(&[
        "Cannabis-induced {psychosis|U} poss. {Node|U} favoured.",
        "{Osteomyelitis|U} nicht auszuschl., vorerst keine Klinik. Der Patient ist da.",
        "Imp: {EP|U} probable (Wells 6). Le patient est dans le service avec sa fille.",
        "Une probable {EP|U}. Le patient est dans le service avec sa fille.",
        "Sosp. {neoplasia|U}. Il paziente ha {febbre|}.",
        "{APLV|U} en estudio. La paciente tiene {tos|}.",
        "E {diverticulitis|U} ws. De patiënt is thuis.",
        "Leucoplasia? afastar {CEC|U}. O doente não tem {febre|N}.",
        "PD ?{EUPD|U}, {depression|}. ?{Viral|U} or {bacterial|U}",
        "{Hyperkalaemia|} (diet?). {PE|U} (?).",
        "Foet. {tachycardia|} 175: {chorioamnionitis|U}?",
        "[x] {Hepatitis|}  which? B",
    ]);
}

#[test]
fn noughts_say_no_on_one_side() {
    assert_said(&[
        "Ø {hémoptysie|N} Ø {fièvre|N} Ø {syncope|N}. Le patient a une {crampe|}.",
        "0 {éruption|N} 0 {toux|N} 0 {méningisme|N}. {Diarrhée|}",
        "{Hoofdpijn|N} 0 {epigastralgie|N} 0 {bloedverlies|N} 0",
        "{Pain|N} 0/10 {nausea|} 3/10",
        "{Schouderdystocie|N} neen. De patiënt is thuis.",
        "AXR o/n: no {pneumatosis|N}, no {perforation|N}",
        "{Fièvre|N} o/n: non. Le patient va bien.",
        "Não aguento de {dor|}. Patient can't stand the {pain|}.",
    ]);
}

#[test]
fn a_line_may_begin_a_sentence() {
    assert_said(&[
        "Advised to return early if {haematuria|Y}, bloating or altered bowel habit\nShe was {tearful|} but coping",
        "Auscultatie verlengd expirium, rhonchi, geen crepitaties, enkels geen oedeem\nE 1 {diverticulitis|} herstellend",
        "There were absolutely no signs anywhere at all of what might be some sort of\nnew {infection|N}",
    ]);
}

#[test]
fn a_loud_no_behind_wide_space_answers_its_item() {
    assert_said(&[
        " - {fitting|N}  NO (had {febrile convulsion|} at 13/12)\n - {floppy|N} / hard to wake  NO",
        " - {stiff neck|N}, {photophobia|N}  NO\n - {stridor|N} now  NO, on the phone, {cough|}",
        " - {fever|}  YES 2 days\n - {cough|}  NO FEVER",
        " - {Fieber|N}, {Husten|N} seit gestern  NEIN\n - Der Patient hat {Schmerzen|}",
        " - {Fièvre|N} ce matin  NON, la patiente a une {toux|}",
        " - {Fiebre|N} o {tos|N} ahora  NO (tuvo una {neumonía|})",
        " - {Koorts|N} vandaag  NEE, de patiënt heeft {jicht|}",
        " - {Febre|N} agora  NÃO, o doente tem {tosse|}",
        "He had a {cough|} now and NO {fever|N}.",
    ]);
}

#[test]
fn denials_may_stand_behind_what_they_deny() {
    assert_said(&[
        "{Cardiopatía isquémica|N}, {epilepsia|N}, {neumopatías|N} negadas. La paciente tiene {tos|}.",
        "{CAD|N} y {EHH|N} descartados  4. {ERC|}. La paciente tiene {tos|}.",
        "La paciente tiene {tos|}, {TVP|N} descartada por eco. Descartada {TVP|N}, {neumonía|}.",
        "{Tosse|N}, {febre|N} negadas. O doente tem {asma|}.",
        "{Lesione splenica|N} esclusa allo stato. Il paziente ha {febbre|}.",
        "{Embolia polmonare|N} ritenuta esclusa per scintigrafia negativa. Il paziente ha {febbre|}.",
        "Konkrete {Suizidgedanken|N} verneint. {Stimmenhören|N} habe sie nie erlebt. Der Patient ist da.",
        "Patientin mit {Husten|} verneint. Der Patient ist da.",
        "{Pneumonie|N} bei unauffälligem Röntgen ausgeschlossen. Der Patient ist da.",
        "Bei {Pneumonie|} bei bekannter {COPD|} wurde behandelt. Der Patient ist da.",
        "{Longembolie|N} bij normale D-dimeer uitgesloten. De patiënt is thuis.",
        "Von akuter {Suizidalität|N} klar distanziert. Der Patient ist da.",
        "{Ängstlich|}, wirkt distanziert. Der Patient ist da.",
        "{Maculopathie|N} douteuse, finalement non retenue par l'ophtalmologue. La patiente a une {toux|}.",
        "{HELLP|N} not met. {Diabetes|} targets not met.",
        "Appearances would not support {phyllodes tumour|N} or {metastasis|N}.",
    ]);
}

#[test]
fn what_was_denied_is_told_in_the_past() {
    assert_said(&[
        "Negava {febre|N}, {melenas|N} e {tenesmo|N}. O doente tem {tosse|}.",
        "Negaba {fiebre|N}, {melenas|N} y {tos|N}. La paciente tiene {asma|}.",
        "Negava {febbre|N}, {tosse|N} o {dispnea|N}. Il paziente ha {asma|}.",
        "Il niait {fièvre|N} et {toux|N}. La patiente a une {crampe|}.",
        "Verneinte {Fieber|N}, {Husten|N}. Der Patient hat {Schmerzen|}.",
        "Ontkende {koorts|N} en {hoest|N}. De patiënt heeft {jicht|}.",
    ]);
}

#[test]
fn what_stands_behind_a_denial_may_be_there() {
    assert_said(&[
        "Amantadine was of no use, and {bladder urgency|} with {incontinence|}.",
        "MRI: no new {mets|N}, {radiation necrosis|U} vs residual {tumor|U}.",
        "No {fever|N}, {cough|N} or {rash|N}. No {PE|N}, {DVT|N} seen.",
        "Selles : aucune depuis 4 j, {fécalome|U} ? La patiente a une {toux|}.",
        "Sem repercussão - {HDB|U}? O doente tem {tosse|}.",
        "Pas d'ATB tant que pas de {fièvre|Y}. La patiente a une {toux|}.",
        "Aucune {infection|N} depuis le {zona|}. La patiente a une {toux|}.",
        "No {vomiting|N} since the {concussion|}. No {vomiting|N} or {fever|N} since Monday.",
        "Ohne {Schmerzen|N} seit der {Fraktur|}. Der Patient ist da.",
    ]);
}

#[test]
fn a_letter_behind_a_code_says_how_sure_it_is() {
    assert_said(&[
        "{Struma|}  E04.2 G\n{Polymyalgie|U}  M35.3 V\n{Apoplex|H}  I63.9 Z\n{KHK|N}  I25.9 A\nDer Patient ist mit der Tochter da.",
        "{Hepatitis|} Typ A\nDer Patient hat {Husten|} mit {Fieber|}.",
    ]);
}

#[test]
fn lines_with_a_label_and_slashed_short_forms_end_sentences() {
    assert_said(&[
        "Gastric body - mild hyperaemia, two biopsies taken, antrum seen, no {ulcer|N}\n Duodenum - {erosions|}, photographed\n Fundus - {polyp|}",
        "Abdomen soft this morning on the ward round, bowels not open, no {guarding|N}\nPrevious: {hernia|H}",
        "Settled on the ward, kept on two litres of oxygen. No {desaturation|N} o/n. {Hypotension|} at six",
        "1/ Pas de {fracture|N}\n2/ {Kyste|} du rein. La patiente est là.",
    ]);
}

#[test]
fn what_an_image_shows_behind_a_denial_is_there() {
    assert_said(&[
        "Wrist x-ray 4/7 no {fracture|N}, {soft tissue swelling|}.",
        "USG {gallstones|}, no {CBD dilatation|N}, {renal cyst|}.",
        "{Lymphopenia|} 0,4; {neutropenia|} 0,7. {Cough|N} 0, {fever|N} 0",
        "Never tested for {HIV|}, the patient is well.",
    ]);
}

#[test]
fn a_question_is_asked_of_what_it_stands_at() {
    assert_said(&[
        "FALL ?{SYNCOPE|U} ?LOW SUGAR. {HEADACHE|}",
        "{COLLAPSE|} ?{SEPSIS|U} ?NEW TABLETS, is well",
        "Day 3 ?{SBO|U} - {vomiting|} bile.",
        "{Anaemia|} from {GI bleed|U}? The patient is well.",
        "{Anemia|} da {sanguinamento|U}? Il paziente ha {tosse|}.",
        "{Delirium|} bij {infectie|U}? De patiënt heeft {jicht|}.",
        "{Aspiration pneumonia|U}? The patient is well.",
        "Brother died at four, ?{sepsis|F}. The patient is well.",
        "Troponin flat; more likely {pericarditis|U}. {Coeliac disease|U} more likely.",
        "the patient has a {cough|} question mark {pertussis|U}",
    ]);
}

#[test]
fn what_threatens_is_feared() {
    assert_said(&[
        "Impending {airway obstruction|Y}. {Stridor|} at rest. {Wound infection|Y} to be looked for daily.",
        "Safety netted for {drowsiness|Y} and {neck stiffness|Y}. Screened: {HBV|Y} / {HCV|Y} screen done.",
        "Some patients develop {pneumonitis|Y} or, rarely, {colitis|Y}; she has {rash|}.",
        "{Dyslipidaemia|}/{stroke|Y} risk: start a statin.",
        "Drohende {Ruptur|Y}. {Embolie|Y}-Prophylaxe Dalteparin. Der Patient ist da.",
        "{Ischémie|Y} à craindre. {Thrombose|Y} prophylaxie par énoxaparine. La patiente a une {toux|}.",
        "{Parada|Y} inminente. {Trombosis|Y} profilaxis con enoxaparina. Cribado {hepatitis C|Y}, {sífilis|Y}. La paciente tiene {tos|}.",
        "Imminente {rottura|Y}. Vaccino antinfluenzale e {zoster|Y}. Il paziente ha {tosse|}.",
        "Wegens dreigende {ruptuur|Y}. Spoed bij {bloedbraken|Y}. De patiënt heeft {jicht|}.",
        "Orientada sinais de {hipoglicemia|Y} e {infeção|Y}. Rastreio {hepatite C|Y}, {sífilis|Y}. O doente tem {tosse|}.",
    ]);
}

#[test]
fn what_is_over_or_was_the_reason_to_stop_is_past() {
    assert_said(&[
        "The {drowsiness|H} of the second day has settled. {Rash|H} d3-6, gone now. {Abscess|H} resorbed.",
        "{BCC|H} of the {nose|H}, excised 2019. {Lymphoma|} in 2015, in remission.",
        "Sertraline after failure of citalopram ({nausea|H}) for {depression|}.",
        "{Atemnot|H} in Ruhe weg seit gestern. Der Patient ist da.",
        "Après échec du valproate ({tremblement|H}). {Hématome|H} résorbé. La patiente a une {toux|}.",
        "Tras fracaso de litio ({temblor|H}). Ingreso neonatal 5 d por {sepsis|H}. La paciente tiene {tos|}.",
        "Dopo fallimento di litio ({tremore|H}). {Versamento|H} riassorbito. Il paziente ha {tosse|}.",
        "{Braken|H} nu over. Na falen van lithium ({tremor|H}). De patiënt heeft {jicht|}.",
        "Após falha de lítio ({tremor|H}). {Hematoma|H} reabsorvido. O doente tem {tosse|}.",
    ]);
}

#[test]
fn what_others_have_is_theirs() {
    assert_said(&[
        "Her brother died at 31 and was found to have {cardiomyopathy|F}. She has {palpitations|}.",
        "Three in her class have had {measles|F}. Nursery: {scabies|F}.",
        "Kita: {Hand-Fuß-Mund-Krankheit|F}. Frau auch {Erbrechen|F}. Mann zuh. auch {Husten|F}. Der Patient ist mit der Tochter da.",
        "Sa mère, ancienne coiffeuse, a un {asthme|F}. Colocataire avec {gale|F}. La patiente a une {toux|}.",
        "Compañero de piso con {sarna|F}. La paciente tiene {tos|}.",
        "Mamma {celiachia|F}. Coinquilino con {scabbia|F}. Il paziente ha {tosse|}.",
        "S: zoon (3) mee: {oorpijn|F}. De patiënt heeft {jicht|}.",
        "Dochter (6): {waterpokken|F}. Huisgenoot met {schurft|F}. De patiënt heeft {jicht|}.",
        "Colega de casa com {sarna|F}. O doente tem {tosse|}.",
    ]);
}

#[test]
fn what_is_supposed_or_over_may_stand_last() {
    assert_said(&[
        "{Sleep apnea|U}, suspected - outpt PSG. {Cough|}, suspected {pneumonia|U}.",
        "{Bone island|U} favored over {metastasis|U}.",
        "I wonder about {Lynch syndrome|U}. {IBD|U} would be the other possibility.",
        "Bactrim for {PJP|Y} proph. {Hypogammaglobulinaemia|Y} to be watched for.",
        "{Chickenpox|H} - already had it. {Headache|H} gone since last night. {CRP|} gone down.",
        "{Hoofdpijn|H} nu weg. De patiënt heeft {jicht|}.",
        "Scanner à la recherche d'une {pneumopathie|U}, dont la patiente est informée, inquiète d'un {cancer|Y}.",
        "Nódulos suspeitos de {metástases|U}. O doente tem {tosse|}.",
        "{Rupture|U} à écarter. La patiente a une {toux|}.",
        "Zoon overleden aan {hartinfarct|F}. De patiënt heeft {jicht|}.",
    ]);
}

#[test]
fn lists_of_what_may_come_end_with_their_sentence() {
    assert_said(&[
        "Counseled {rash|Y}, {infusion reaction|Y}, {cytopenias|Y}.",
        "Counseled {rash|Y}, {depression|} better.",
        "{Infection urinaire|U} ? pas d'ATB pour le moment, la patiente va bien.",
        "{Épistaxis|H} 20h tarie par compression. La patiente a une {toux|}.",
        "{Cough|} ? {pneumonia|U}",
    ]);
}
